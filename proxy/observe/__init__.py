"""What an operator sees: access log, counters, the start-up report."""
