"""How others have the process of a module work: calls, blocking or for an event loop."""
