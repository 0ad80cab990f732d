"""Signatures by tokens: the threads and their queue, how quick a token is, and which key comes
next.

Nothing here knows of TLS: `proxy.tls` says what a signature is and how a token is tried.
"""
