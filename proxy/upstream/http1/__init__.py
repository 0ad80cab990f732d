"""Connections to a server that speaks HTTP/1.1, one request at a time, and their pools."""
