"""Keys that live in a PKCS#11 token: made, listed, used and destroyed there, without ever waiting
for the token.
"""
