"""A connection of HTTP/2: a request and an answer on each stream."""
