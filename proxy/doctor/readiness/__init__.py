"""What `pq = "require"` would break, judged from the handshakes of the last days."""
