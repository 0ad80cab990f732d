"""A certificate authority of our own: a root kept apart, an intermediate that signs."""
