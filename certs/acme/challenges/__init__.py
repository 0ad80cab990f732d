"""Challenges: what a CA asks for to prove a name, and how it is shown."""
