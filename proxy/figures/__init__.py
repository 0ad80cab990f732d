"""Counts and distributions: histograms, totals, the largest few. Pure."""
