"""Datagrams that one worker has read and that are for another one: handed on by a Unix socket.

Theory of operation. The IDs that a process makes begin with the slot of its worker and a number of
its own. The kernel gives a datagram to the socket of the slot (`steer_by_connection_id`). Another
process may read it there: the next one of the slot, while this one drains. That one knows by the
number that the datagram is not its own, and sends it to the Unix socket of slot and number.

The socket stands in no directory (unix(7)). The first process to bind its name owns it, also one of
another user, and /proc/net/unix shows all names. So the name is an HMAC, by the secret that makes
stateless resets. The workers have it from their parent, which hands it over in an upgrade and finds
it sealed after a restart. Other users cannot bind the name first, and the kernel keeps it until our
process has ended. A user who binds it then gets encrypted datagrams, of connections that have ended
too. Names chosen by the kernel are as safe, but the processes before and after a restart have no
channel to tell them by.

The secret changes. A process has a socket for each one in use, also for the previous one.

Every user can send to a name. The kernel tells who did (SO_PASSCRED): only processes of the same
user, or of root, are believed.
"""

import errno
import hmac
import os
import secrets
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final

_MOST_BYTES: Final = 2_048
_NUMBERS: Final = 256
_NAME_BYTES: Final = 16
_CREDENTIALS: Final = struct.Struct("iii")  # unix(7): process, user, group

Taken = Callable[[bytes, bytes, bytes, int], None]
"""Takes a datagram, the local address, the remote one, and the ECN bits."""


class Post:
    """The socket of this process for one listener and one secret."""

    def __init__(self, listener: str, prefix: bytes, key: bytes) -> None:
        """`prefix` is what our connection IDs begin with. Raises `OSError` if it is taken."""
        self._listener: Final = listener
        self._key: Final = key
        self.sock: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.sock.bind(_place(listener, prefix, key))
        except OSError:
            self.sock.close()
            raise

    def hand_on(self, prefix: bytes, data: bytes, local: bytes, remote: bytes, ecn: int) -> bool:
        """Send a datagram to the process whose IDs have this prefix; False if there is none."""
        head = bytes((ecn & 0xFF, len(local), len(remote)))
        try:
            self.sock.sendto(head + local + remote + data, _place(self._listener, prefix, self._key))
        except BlockingIOError:
            return True  # lost, as a datagram may be
        except OSError:
            return False
        return True

    def deliver(self, taken: Taken, most: int) -> None:
        """Take up to `most` datagrams that others have handed on."""
        for _ in range(most):
            try:
                message, control, _, _ = self.sock.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                return
            if _is_believed(control):
                _unpack(message, taken)

    def close(self) -> None:
        self.sock.close()


def unused_prefix(slot: int, keys: Mapping[str, tuple[bytes, ...]]) -> bytes:
    """What the connection IDs of a new process can begin with; `keys` are those of each listener.

    A process of the same slot that still drains has another number.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        first = secrets.randbelow(_NUMBERS)
        for number in range(first, first + _NUMBERS):
            prefix = bytes((slot & 0xFF, number & 0xFF))
            places = [_place(listener, prefix, key) for listener, some in keys.items() for key in some]
            if all(asking.connect_ex(one) == errno.ECONNREFUSED for one in places):
                return prefix
    return bytes((slot & 0xFF, first))


def _is_believed(control: list[tuple[int, int, bytes]]) -> bool:
    return any(
        kind == socket.SCM_CREDENTIALS and _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[1] in (0, os.geteuid())
        for _, kind, data in control
    )


def _unpack(message: bytes, taken: Taken) -> None:
    ecn, local_bytes, remote_bytes = message[:3]
    middle = 3 + local_bytes
    end = middle + remote_bytes
    taken(message[end:], message[3:middle], message[middle:end], ecn)


def _place(listener: str, prefix: bytes, key: bytes) -> bytes:
    digest = hmac.digest(key, b"socket " + prefix + listener.encode(), "sha256")
    return b"\0plexigate-quic-" + digest[:_NAME_BYTES].hex().encode()
