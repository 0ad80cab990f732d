"""A connection of HTTP/3: the session over QUIC, for what serves HTTP/2 as well."""
