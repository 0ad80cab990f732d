"""The hierarchy of keys below the sealing key: a key for each domain, and below it one for each purpose."""
