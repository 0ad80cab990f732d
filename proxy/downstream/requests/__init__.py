"""A client and one request of it: who asks, what was read, the route that takes it, refusals."""
