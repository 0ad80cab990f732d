"""The servers of an upstream: which one gets a request, and which one gets none."""
