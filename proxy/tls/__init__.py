"""TLS, from the top: a handshake uses keys in tokens, those use OpenSSL, and all know the wire."""
