"""The worker processes: the parent starts, asks, watches and replaces them."""
