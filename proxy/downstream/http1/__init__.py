"""A connection of HTTP/1.1: requests out of bytes, one answer after the other."""
