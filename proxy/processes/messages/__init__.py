"""The messages between the parent and its workers: their types, how they are written, a version."""
