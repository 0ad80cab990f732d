"""Rotation of certificates: when to renew and retry, and the steps to a checked chain."""
