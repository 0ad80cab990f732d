"""What every pool of connections has: dials, the queue, shares by client, and what is lent."""
