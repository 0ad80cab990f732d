"""`plexigate audit`: verify the log and show it."""
