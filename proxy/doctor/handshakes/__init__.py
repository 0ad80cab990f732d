"""Live handshakes with the listeners of the running proxy, by a TLS stack that is not the proxy's.

The client is pyOpenSSL on the OpenSSL that the wheel of `cryptography` brings. So neither a fault
of the system's OpenSSL nor one of our own reading of its output hides from it.
"""
