"""What is set on every TCP socket, of clients and of upstreams, and what the kernel has of one."""

import contextlib
import fcntl
import socket
import struct
import termios
from socket import SocketType
from typing import Final

# A keep-alive probe after a minute without traffic finds half-open peers within two.
KEEP_ALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
_ACKNOWLEDGE_NOW: Final = 2  # tcp(7); being even, it has later acknowledgements travel with data again
_INT: Final = struct.Struct("i")
# struct tcp_info (linux/tcp.h) as far as tcpi_unacked. For a listening socket that is the length of
# its queue.
_TCP_INFO: Final = struct.Struct("=24xI")


def tune(sock: socket.socket) -> None:
    """Send small pieces at once, and have the kernel find a peer that went away without a word.

    Connections that a listening socket accepts inherit what is set on it (tcp(7)).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def acknowledge_now(sock: SocketType) -> None:
    """Say now what was read."""
    with contextlib.suppress(OSError):  # the peer has reset it, of which reading tells
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, _ACKNOWLEDGE_NOW)


def queued_connections(listening: socket.socket) -> int:
    """Connections that can be accepted. A system call."""
    count: int = _TCP_INFO.unpack(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))[0]
    return count


def unsent_bytes(sock: SocketType) -> int:
    """What the peer has not acknowledged. A system call."""
    return _asked(sock, termios.TIOCOUTQ)


def unread_bytes(sock: SocketType) -> int:
    """What has come and was not read. A system call."""
    return _asked(sock, termios.FIONREAD)


def _asked(sock: SocketType, question: int) -> int:
    count: int = _INT.unpack(fcntl.ioctl(sock, question, bytes(_INT.size)))[0]
    return count
