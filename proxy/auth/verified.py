"""Credentials that were verified a short while ago. Pure.

A browser sends the password with each request, and one verification takes tens of milliseconds of
a core. So a right password is verified once in `_SECONDS`. The memory holds no password: only a
keyed digest, and the key is made for this memory.
"""

import hmac
from typing import Final

from proxy.auth.basic import BasicCredentials

_SECONDS: Final = 300.0
_MOST: Final = 256


class VerifiedCredentials:
    """Of one route, in one process. A reload makes a new one."""

    __slots__ = ("_key", "_until")

    def __init__(self, key: bytes) -> None:
        """`key` has 32 random octets."""
        self._key: Final = key
        self._until: dict[bytes, float] = {}

    def __repr__(self) -> str:
        return f"<VerifiedCredentials: {len(self._until)}>"

    def digest(self, credentials: BasicCredentials) -> bytes:
        """The name under which these credentials are remembered."""
        name = credentials.name.encode()
        return hmac.digest(self._key, b"%d:%b%b" % (len(name), name, credentials.password), "sha256")

    def has(self, digest: bytes, now: float) -> bool:
        """Whether they were found right, not too long ago. `now` is in seconds of any clock."""
        until = self._until.get(digest)
        if until is None:
            return False
        if until <= now:
            del self._until[digest]
            return False
        return True

    def add(self, digest: bytes, now: float) -> None:
        """They are right. The oldest ones give way."""
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        self._until[digest] = now + _SECONDS
