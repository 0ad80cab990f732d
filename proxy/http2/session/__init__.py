"""The two ends of a connection, and what each frame does to them."""
