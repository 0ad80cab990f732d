"""One handshake of a server: its states, its steps, the signature of a token, its result."""
