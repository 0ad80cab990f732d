"""Encrypted messages: tokens and streams of them, their place, and why one is refused."""
