"""What is set on every TCP socket, of clients and of upstreams."""

import socket
from typing import Final

# A keep-alive probe after a minute without traffic finds half-open peers within two.
KEEP_ALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


def tune(sock: socket.socket) -> None:
    """Send small pieces at once, and have the kernel find a peer that went away without a word.

    Connections that a listening socket accepts inherit what is set on it (tcp(7)).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
