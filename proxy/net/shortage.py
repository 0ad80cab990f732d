"""Whether an attempt failed for lack of our own resources, which says nothing of the peer."""

import errno
import ipaddress
import os
import socket
from typing import Final

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
HELD_UP_SECONDS: Final = 0.5
"""A time-out that is noticed so late says nothing about a peer.

Its answer may have arrived while this process did not run.
"""
# The port of no service (RFC 863): nothing is sent there.
_DISCARD: Final = 9


def is_own_shortage(error: OSError, host: str = "") -> bool:
    """Whether this machine had no descriptor, memory or port left to connect to `host`.

    EADDRNOTAVAIL has two meanings. All ports towards a peer are in use: our shortage. Or this
    machine has no address of the peer's family (`[::1]` without IPv6): an error of the
    configuration.
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
    """Whether this machine has an address from which it would reach a host; nothing is sent.

    A name may have several addresses and counts as reached.
    """
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
