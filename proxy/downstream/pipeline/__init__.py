"""What becomes of a request: its stages, from the choice of a route to the last octet."""
