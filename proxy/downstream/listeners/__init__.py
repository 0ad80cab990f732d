"""Listening sockets: what is accepted, the PROXY protocol, plain HTTP, who serves a connection."""
