"""QUIC (RFC 9000) by libngtcp2: packets, handshakes, and the bytes of HTTP/3."""
