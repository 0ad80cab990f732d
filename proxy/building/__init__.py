"""From a configuration to the parts of a generation, each with the problems that stand against it."""
