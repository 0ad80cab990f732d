"""The admin socket: who serves it, who asks it."""
