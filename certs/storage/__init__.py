"""Keys and chains that were made here, stored atomically: old or new, also after a crash."""
