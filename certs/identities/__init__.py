"""What identities prove themselves with: chains and keys, configured or issued."""
