"""Payload encryption: bodies that stay closed where TLS is opened before us; Fernet tokens under
rings of keys that rotate.
"""
