"""What keeps one client, or a crowd of them, from using up what all have to share."""
