"""Signatures by tokens: the threads and their queue, the race between tokens, and how a token is.

Nothing here knows of TLS: `proxy.tls` says what a signature is and how a token is tried.
"""
