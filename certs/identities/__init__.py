"""What identities prove themselves with: chains and their keys, configured or issued."""
