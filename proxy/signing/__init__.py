"""Signatures that wait for a token: threads and their queue, how quick a token is, when it is left
alone, which key comes next.

Nothing here knows of TLS: what a signature is, and how a token is tried, comes from `proxy.tls`.
"""
