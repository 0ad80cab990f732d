"""The parent's answers to the admin socket."""
