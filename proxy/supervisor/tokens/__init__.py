"""What the parent knows about PKCS#11 tokens and tells workers."""
