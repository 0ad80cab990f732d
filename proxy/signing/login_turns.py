"""The workers log in to a token one after the other, until a login shows whether the PIN is good.

When a device loses all sessions, as by a reset, every worker logs in at the same moment. If the PIN
is wrong by then, each of these logins brings the token nearer to being locked; some tokens lock
after three. So a worker that has to log in takes a lock. The others wait for its result. If the
login was good, they all log in at once; if the PIN was refused, none of them does.

Theory of operation. The parent makes a block of memory without a name (memfd), and every worker
inherits its descriptor. The name of a token is hashed to one of 256 places. A place has three
parts:

- a byte to lock (fcntl(2)); the kernel unlocks it when its process dies
- the hash of the token whose PIN was refused, or zeros
- a count of good logins

Two tokens may share a place. Then they wait for each other, and one may overwrite the refused PIN
of the other: that costs one login more, and nothing else. A login that hangs must not delay the
others for long: after `_PATIENCE_SECONDS` they log in without the lock.
"""

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final

from proxy.signing.token import TokenPinRefused

_PLACES: Final = 256
_PLACE: Final = struct.Struct("=8sQ")
"""The token whose PIN was refused, and the number of good logins."""
_NOBODY: Final = bytes(8)
_PATIENCE_SECONDS: Final = 1.5
"""A probe has 5 s, and a login takes less than one."""
_LOOK_SECONDS: Final = 0.002


class LoginTurns:
    """The turns as one process sees them. The methods may wait, so they are for threads."""

    def __init__(self, descriptor: int, patience: float = _PATIENCE_SECONDS) -> None:
        """Use what `create` made; the descriptor is kept. `patience` is in seconds.

        This process may not close another descriptor of the same memory: that would release its
        locks (fcntl(2)).
        """
        self.fd: Final = descriptor
        self._patience: Final = patience

    @classmethod
    def create(cls) -> "LoginTurns":
        """Make the memory, for workers to inherit. No PIN is refused in it."""
        descriptor = os.memfd_create("plexigate-logins", os.MFD_CLOEXEC)
        os.truncate(descriptor, _PLACES * _PLACE.size)
        return cls(descriptor)

    def close(self) -> None:
        os.close(self.fd)

    def forbid(self, token: str) -> None:
        """Note that the PIN was refused: it forbids all logins."""
        name, place = _name_and_place(token)
        _, good = self._read(place)
        os.pwrite(self.fd, _PLACE.pack(name, good), place)

    def allow(self, token: str) -> None:
        """Note that the PIN was good."""
        name, place = _name_and_place(token)
        forbidden, good = self._read(place)
        os.pwrite(self.fd, _PLACE.pack(_NOBODY if forbidden == name else forbidden, good + 1), place)

    @contextmanager
    def turn(self, token: str) -> Iterator[None]:
        """Let one process log in within the block while the others wait, unless that takes too
        long.

        Raises `TokenPinRefused` without a login if the PIN was refused to a process before this
        one. A block that ends without an exception was a good login. A block whose PIN is refused
        calls `forbid` and raises `TokenPinRefused`.
        """
        name, place = _name_and_place(token)
        is_ours = self._wait(place)
        try:
            if self._read(place)[0] == name:
                raise TokenPinRefused
            yield
            self.allow(token)
        finally:
            if is_ours:
                fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, place)

    def _wait(self, place: int) -> bool:
        """Take the lock; whether this process has it.

        It does not if another one logged in meanwhile or takes too long.
        """
        _, good = self._read(place)
        until = monotonic() + self._patience
        while monotonic() < until and self._read(place)[1] == good:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):
                sleep(_LOOK_SECONDS)
            else:
                return True
        return False

    def _read(self, place: int) -> tuple[bytes, int]:
        forbidden, good = _PLACE.unpack(os.pread(self.fd, _PLACE.size, place))
        return forbidden, good


def _name_and_place(token: str) -> tuple[bytes, int]:
    name = hashlib.blake2b(token.encode(), digest_size=8).digest()
    return name, name[0] % _PLACES * _PLACE.size
