"""What a table is made of: kinds of values, and what is said of one that is refused."""
