"""When a certificate is replaced, what is tried again when, and the steps from a new key to a chain that may serve."""
