"""Recovery of the sealing key: it is split among people, of whom some come together for it."""
