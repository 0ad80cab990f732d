"""Rules that span several tables."""
