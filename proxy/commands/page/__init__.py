"""`plexigate page`: brings the page of the admin server to the browser of an operator."""
