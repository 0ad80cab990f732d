"""From a file to a configuration: it is read, parsed, judged, and watched."""
