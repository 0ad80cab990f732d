"""Faults that require operator action: the parent finds and remembers them, and sends alerts
until they are over."""
