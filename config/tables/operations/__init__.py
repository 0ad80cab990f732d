"""The tables by which operators and monitoring watch the proxy."""
