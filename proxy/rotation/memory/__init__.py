"""What rotations remember: waits, signatures, and the windows of issuers."""
