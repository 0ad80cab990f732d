"""The compression of header fields (RFC 7541)."""
