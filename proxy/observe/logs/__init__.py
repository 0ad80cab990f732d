"""Log lines: the access log in its two formats, events, and the thread that writes them."""
