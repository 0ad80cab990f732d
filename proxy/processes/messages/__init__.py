"""The messages between the parent and its workers: a type for each, one place that writes and reads them, and a version."""
