"""A process that serves: its entry, what the parent asks of it, and the generations that it serves by."""
