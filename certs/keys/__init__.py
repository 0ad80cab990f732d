"""Where signing keys live."""
