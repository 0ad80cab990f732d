"""Builds what identities with keys in tokens need, and finds what is wrong with these keys."""
