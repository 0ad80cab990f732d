"""Sockets that are bound to TCP addresses."""

import errno
import socket
from typing import Final

from config.values.addresses import Bind

BACKLOG: Final = 4_096
"""Connections that wait for a worker at one address; the kernel takes no more than somaxconn."""


def bind_fault(bind: Bind, error: OSError) -> tuple[str, str]:
    """Why an address cannot be used, in a clause, and what can be done about it."""
    found = f"{bind}, which cannot be used: {error.strerror}"
    if error.errno == errno.EADDRNOTAVAIL:
        return found, "an address of this machine (ip address shows them), or 0.0.0.0 or [::] for all of them"
    if isinstance(error, PermissionError):
        return (
            found,
            "a port from 1024 on, or the right to bind lower ones (CAP_NET_BIND_SERVICE, or a restart as root)",
        )
    return found, "stop what uses it (ss -ltnp shows it), choose another port, or start with the right to bind it"


def bound_socket(
    bind: Bind, *, reuse_port: bool = False, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    """A socket that has the address, does not block, and does not listen yet. Raises `OSError`."""
    family = socket.AF_INET if bind.host.version == 4 else socket.AF_INET6
    sock = socket.socket(family, kind)
    try:
        sock.settimeout(0)
        if kind is socket.SOCK_STREAM:  # of UDP, another process could then have the address too
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
        if family == socket.AF_INET6:
            # each family has its own entry in `bind`, so the configuration shows what is reachable
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(bind.host), bind.port))
    except OSError:
        sock.close()
        raise
    return sock


def listening_socket(bind: Bind, backlog: int) -> socket.socket:
    """A socket that listens alone on its address. Raises `OSError`."""
    sock = bound_socket(bind)
    try:
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock
