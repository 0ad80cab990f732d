"""The shape of `[[route]]`, and of the tables in it."""
