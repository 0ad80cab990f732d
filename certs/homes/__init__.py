"""Where new keys are made and kept: files, sealed files, tokens."""
