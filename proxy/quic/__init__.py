"""HTTP/3: QUIC and what is read from it."""
