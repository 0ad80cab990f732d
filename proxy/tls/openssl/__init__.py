"""What the process uses of OpenSSL: its library, contexts, keys, and the stream of a connection."""
