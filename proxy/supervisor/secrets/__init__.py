"""What the parent keeps between editions: sealed keys, secrets of tickets and rings, audit log."""
