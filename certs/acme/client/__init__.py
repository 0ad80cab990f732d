"""The client of a CA's ACME server: accounts, messages, and the session that sends them."""
