"""Manual pages and shell completions, made from the command line and the example configuration."""
