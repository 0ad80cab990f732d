"""The hierarchy of keys below the sealing key: a top key, and below it a key for each purpose."""
