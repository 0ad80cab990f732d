"""Keys that live in a PKCS#11 token: made, listed, used and destroyed there.

The event loop never waits for the token.
"""
