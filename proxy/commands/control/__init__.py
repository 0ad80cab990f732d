"""Commands that look after the running proxy."""
