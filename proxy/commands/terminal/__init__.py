"""How commands show and ask: tables, colours, questions, files of output."""
