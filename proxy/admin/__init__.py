"""The admin socket: its server and its client."""
