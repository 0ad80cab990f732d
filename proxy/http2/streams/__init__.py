"""Streams: their states and windows, and the order in which their bytes are sent."""
