"""`plexigate certs`: list, rotate and trust certificates."""
