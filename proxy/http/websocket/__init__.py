"""WebSockets (RFC 6455), seen by a proxy: the opening handshake, frames, and how one ended."""
