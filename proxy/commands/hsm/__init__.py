"""`plexigate hsm`: an operator's look at tokens, and the keys in them."""
