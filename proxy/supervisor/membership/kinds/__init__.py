"""What a fleet shares: one kind in one file, each a `SharedKind`."""
