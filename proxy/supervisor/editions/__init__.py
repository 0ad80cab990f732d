"""Editions: a configuration with all its files, read and judged once."""
