"""Certificate Transparency (RFC 6962): the logs, their timestamps, and what they have."""
