"""Payload encryption, for bodies that must stay closed where TLS ends before us.

They are Fernet tokens under rings of keys that rotate.
"""
