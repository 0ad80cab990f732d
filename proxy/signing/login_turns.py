"""One login after another in a token, over all workers, until one has shown whether the PIN is
good.

When a device loses all sessions, as by a reset, every worker logs in at the same moment. If the PIN
was changed before, each of these logins brings the token nearer to being locked; some tokens lock
after three. So a worker that has to log in takes a lock. The others wait for its result: then they
log in as well, all at once, or not at all.

Theory of operation. The parent makes a block of memory without a name (memfd), every worker has its
descriptor. A token has a place in it, by its name: a byte to lock, as of fcntl(2), which lets go
when its process dies; a word that says that the PIN was refused; and a count of good logins. Two
tokens at one place wait for each other, and one may make the other's word be forgotten: that costs
a login more, and nothing else. A call that hangs must not hold others up for long: after some time
they log in without a turn.
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
    """The view of one process. Methods are for threads: they wait."""

    def __init__(self, descriptor: int) -> None:
        """Use what `create` made; the descriptor is kept.

        No other one of the same memory may be closed in this process, as that lets go of its locks
        (fcntl(2)).
        """
        self.fd: Final = descriptor

    @classmethod
    def create(cls) -> "LoginTurns":
        """Make one, for workers to inherit. No PIN was refused."""
        descriptor = os.memfd_create("plexigate-logins", os.MFD_CLOEXEC)
        os.truncate(descriptor, _PLACES * _PLACE.size)
        return cls(descriptor)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)

    def forbid(self, token: str) -> None:
        """Forbid all logins: the PIN was refused."""
        name, place = _name_and_place(token)
        _, good = self._read(place)
        os.pwrite(self.fd, _PLACE.pack(name, good), place)

    def allow(self, token: str) -> None:
        """The PIN was found good."""
        name, place = _name_and_place(token)
        forbidden, good = self._read(place)
        os.pwrite(self.fd, _PLACE.pack(_NOBODY if forbidden == name else forbidden, good + 1), place)

    @contextmanager
    def turn(self, token: str) -> Iterator[None]:
        """Log in within the block, while the others wait, unless that takes too long.

        Raises `TokenPinRefused`, then or when another one was refused while this one waited. A
        block that ends without an exception was a good login; one that was refused calls `forbid`
        before it ends.
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
        """Whether this process has the lock.

        It has not if another one logged in meanwhile, or takes too long.
        """
        _, good = self._read(place)
        until = monotonic() + _PATIENCE_SECONDS
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
