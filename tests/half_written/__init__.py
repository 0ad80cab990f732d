"""State that cannot be half written: what stops a process in the middle of a change, and what is asked afterwards."""
