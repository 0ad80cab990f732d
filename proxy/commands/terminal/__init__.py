"""What commands show and ask: tables, colours, questions, output files."""
