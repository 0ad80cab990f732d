"""The processes that serve: started, asked, watched, replaced."""
