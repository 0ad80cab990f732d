"""Rotation of certificates: when to renew and to retry, and the steps to a checked chain."""
