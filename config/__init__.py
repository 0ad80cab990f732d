"""The configuration: its shape, how it is read, what is refused."""
