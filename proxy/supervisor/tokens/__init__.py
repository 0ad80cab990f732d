"""What the parent knows of PKCS#11 tokens and tells workers."""
