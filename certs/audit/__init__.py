"""The audit log of key operations: who did what with which key, in a chain that shows changes."""
