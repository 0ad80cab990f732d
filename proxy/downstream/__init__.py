"""The downstream half: a client's connection after its handshake, its requests, their exchanges."""
