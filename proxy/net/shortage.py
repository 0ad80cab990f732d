"""Whether an attempt to reach a peer failed for lack of our own resources, not for the peer."""

import errno
import ipaddress
import os
import socket
from typing import Final

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
HELD_UP_SECONDS: Final = 0.5
"""A time-out noticed so late says nothing of a peer: this process did not run."""
# The port of no service (RFC 863): nothing is sent there.
_DISCARD: Final = 9


def is_own_shortage(error: OSError, host: str = "") -> bool:
    """Whether this machine had no descriptor, memory or port left for `host`. EADDRNOTAVAIL may
    also be a family without an address (`[::1]`): no shortage.
    """
    if isinstance(error, socket.gaierror):
        # without a descriptor, a name just does not resolve
        return error.errno == socket.EAI_MEMORY or not _is_a_descriptor_left()
    if error.errno == errno.EADDRNOTAVAIL:
        return _has_a_way_to(host)
    return error.errno in _OURS


def _is_a_descriptor_left() -> bool:
    try:
        one, other = os.pipe()
    except OSError:
        return False
    os.close(one)
    os.close(other)
    return True


def _has_a_way_to(host: str) -> bool:
    """Whether this machine has an address to reach a host from, or its name; nothing is sent."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return True
    try:
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((host, _DISCARD))
    except OSError as error:
        return error.errno in _OURS
    return True
