"""Rotation of certificates: when to renew and to retry, and the steps from a new key to a checked
chain.
"""
