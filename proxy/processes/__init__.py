"""What the parent and its workers share: the channel and what goes through it, and how a process is confined."""
