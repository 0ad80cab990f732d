"""Recovery of the sealing key: it is split among people, some of whom together have it."""
