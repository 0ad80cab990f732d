"""What wants a person: the parent finds it, remembers it, and tells receivers until it is over."""
