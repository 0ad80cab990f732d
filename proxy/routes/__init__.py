"""What a route does beside forwarding: access, paths, fields, answers of its own. Pure."""
