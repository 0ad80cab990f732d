"""Connections that are no HTTP, or not any more: WebSockets, TCP, TLS that passes through."""
