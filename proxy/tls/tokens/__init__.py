"""Keys in PKCS#11 tokens: how OpenSSL loads them, and how a token is probed."""
