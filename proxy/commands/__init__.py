"""What an operator types: one file or folder a command."""
