"""Keys by which all nodes of a fleet seal, each planned with the time from which it does."""
