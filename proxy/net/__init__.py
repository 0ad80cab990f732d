"""Sockets, readiness, deadlines and tasks: what asyncio does not offer as it is needed here."""
