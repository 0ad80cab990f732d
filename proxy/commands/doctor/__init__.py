"""`plexigate doctor`: finds what is wrong before users do."""
