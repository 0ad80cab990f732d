"""HTTP/1.1 and WebSocket: parsing, framing policy, exchanges."""
