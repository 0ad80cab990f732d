"""What runs in the process of its own that loads a PKCS#11 module."""
