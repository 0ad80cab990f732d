"""What is served: a configuration with all its files, read and judged once."""
