"""Sealing: what must rest on disk is encrypted with a key that lives in a token, or else in a file of its own."""
