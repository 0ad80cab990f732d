"""The parent process: its sockets, its channels to the workers, key material, two-phase reloads."""
