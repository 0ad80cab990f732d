"""A certificate authority of our own: a root that is kept apart, an intermediate that signs, short
lifetimes.
"""
