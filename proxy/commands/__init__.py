"""What a person types: one file or folder a command."""
