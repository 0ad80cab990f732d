"""Recovery of the sealing key: it is split among people, of whom some must come together to have it
again.
"""
