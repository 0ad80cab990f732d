"""Builds what each route does: its rules, its files, its answers."""
