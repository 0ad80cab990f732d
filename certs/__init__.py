"""What a server proves itself with: keys, certificates, credentials."""
