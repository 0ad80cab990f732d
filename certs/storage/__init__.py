"""Keys and chains that were made here, on disk: all or nothing, whatever moment the machine stops at."""
