"""What the doctor checks of certificates, their keys and their issuers."""
