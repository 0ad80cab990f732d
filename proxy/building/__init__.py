"""From a configuration to the parts of a generation, and the problems of each."""
