"""TCP addresses, for whoever listens."""

import socket

from config.addresses import Bind


def bound_socket(bind: Bind, *, reuse_port: bool = False) -> socket.socket:
    """A socket that has the address and does not listen yet; it does not block. Raises `OSError`."""
    family = socket.AF_INET if bind.host.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
        if family == socket.AF_INET6:
            # each family has its own entry in `bind`, so that what is reachable stands in the configuration
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(bind.host), bind.port))
    except OSError:
        sock.close()
        raise
    return sock


def listening_socket(bind: Bind, backlog: int) -> socket.socket:
    """A socket that listens, which nobody else does there. Raises `OSError`."""
    sock = bound_socket(bind)
    try:
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock
