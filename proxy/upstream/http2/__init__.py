"""Connections to a server that speaks HTTP/2, their streams, and the pool of them."""
