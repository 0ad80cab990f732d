"""Who may use a route: passwords (RFC 7617), and what an authorization server says. Pure."""
