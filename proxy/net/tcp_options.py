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
# More than a send of a big answer, so the kernel does not run dry during a turn of the loop. It
# buffers megabytes otherwise, and a small answer of the same connection waits behind them: 1.54 s
# beside a download of 2 MB/s, and 0.16 s with this.
MOST_UNSENT_BYTES: Final = 131_072
_ACKNOWLEDGE_NOW: Final = 2  # tcp(7); being even, it has later acknowledgements travel with data again
_INT: Final = struct.Struct("i")
_RESET: Final = struct.pack("ii", 1, 0)  # socket(7): linger for no time
# struct tcp_info (linux/tcp.h) as far as tcpi_unacked. For a listening socket that is the length of
# its queue.
_tcp_info: Final = struct.Struct("=24xI").unpack
_TCP_INFO_BYTES: Final = 28
# Compiled code looks up what a module has by its name, each time.
_TCP: Final = socket.IPPROTO_TCP
_INFO: Final = socket.TCP_INFO


def tune(sock: socket.socket) -> None:
    """Send small pieces at once, and have the kernel find a peer that went away without a word.

    Connections that a listening socket accepts inherit what is set on it (tcp(7)).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def keep_little_unsent(sock: SocketType) -> None:
    """Take no more bytes while `MOST_UNSENT_BYTES` were not sent yet: for one with many answers."""
    with contextlib.suppress(OSError):  # it is closed already, of which its owner is told
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)


def acknowledge_now(sock: SocketType) -> None:
    with contextlib.suppress(OSError):  # the peer has reset it, of which reading tells
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, _ACKNOWLEDGE_NOW)


def reset_at_close(sock: SocketType) -> None:
    """Have the close send a reset, and drop what was not sent; no effect on a Unix socket."""
    with contextlib.suppress(OSError):  # it is closed already, of which its owner is told
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def queued_connections(listening: socket.socket) -> int:
    """Connections that can be accepted. A system call."""
    count: int = _tcp_info(listening.getsockopt(_TCP, _INFO, _TCP_INFO_BYTES))[0]
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
