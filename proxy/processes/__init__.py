"""What the parent and its workers share: the channel, its messages, and the rights of a process."""
