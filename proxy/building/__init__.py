"""Builds the parts of a generation from a configuration, and finds the problems of each."""
