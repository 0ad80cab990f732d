"""HTTP/2: frames, header compression, flow control and streams (RFC 9113, RFC 7541). Pure."""
