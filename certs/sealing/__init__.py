"""Sealing: secrets on disk are encrypted with a key in a token, or with a key in a file."""
