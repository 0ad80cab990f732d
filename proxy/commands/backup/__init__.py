"""The commands for encrypted backups."""
