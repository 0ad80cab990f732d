"""The page of the admin server: what it shows, and how it comes to a browser."""
