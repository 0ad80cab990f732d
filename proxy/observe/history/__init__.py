"""The figures of the last day, for the page of the admin server."""
