"""Encrypted backups: what belongs to one, its file, and how it is restored."""
