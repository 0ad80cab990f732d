"""What all connections of a loop share: configuration, connections, buffers, slow work."""
