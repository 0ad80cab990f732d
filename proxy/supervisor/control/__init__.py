"""What the admin socket may ask of the parent."""
