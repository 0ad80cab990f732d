"""TLS: the ClientHello, the policy on it, the contexts, the handshake and the stream after it."""
