"""What identities prove themselves with: chains and keys that fit each other, configured or
issued.
"""
