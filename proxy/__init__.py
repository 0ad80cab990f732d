"""The data plane and its processes: what happens to bytes between a client and an upstream."""
