"""What the admin socket is asked, request by request, and the problems it answers with."""
