"""Whole tokens: probes, trials, tokens that are configured twice, and the keys in use."""
