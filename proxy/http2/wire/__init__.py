"""Frames, settings, error codes, and the limits on what a peer may send."""
