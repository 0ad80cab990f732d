"""A process that serves: its start, its answers to the parent, the generation that it serves by."""
