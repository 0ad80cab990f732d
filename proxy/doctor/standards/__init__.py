"""What the running configuration meets of public standards, and what it cannot know."""
