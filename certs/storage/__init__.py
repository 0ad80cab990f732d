"""Keys and chains that were made here, stored atomically: a crash leaves the old or the new."""
