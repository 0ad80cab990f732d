"""Fernet tokens under a ring: the key that matched, the time of a token, and its only spelling.
Pure.

The tokens are those of `cryptography.fernet`. (Its MultiFernet does not tell which key matched.)
Its decoder passes over characters that are no base64 and over the unused bits of the last one, so
it takes several texts for the same token. Here a token has one spelling, and any other is refused.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.fernet import Fernet, InvalidToken

from proxy.payload.keys.keyring import Keyring, PayloadKeyState, RingKey
from proxy.payload.messages.causes import Cause, PayloadFault

LARGEST_PLAIN: Final = 262_144
"""Of one token: a larger one would hold the interpreter, and with it the loop, for too long."""

MARK_CHARACTERS: Final = 40
"""The last characters of a token are of its HMAC: no two messages have the same."""

# Version, time, IV, one block, HMAC: 73 octets.
_SHORTEST: Final = 100
# Version and time, in twelve characters.
_HEAD_CHARACTERS: Final = 12
_HMAC_BYTES: Final = 32


def token_length(plain: int) -> int:
    return -(-(57 + (plain // 16 + 1) * 16) // 3) * 4


@dataclass(frozen=True, slots=True)
class FreshnessWindow:
    """How old a token may be, and how far ahead of us its maker's clock; seconds."""

    max_age: float
    skew: float

    def check(self, timestamp: int, now: float) -> None:
        """Raises `PayloadFault` for a time outside."""
        if timestamp < now - self.max_age - 1:  # the time of a token has whole seconds
            raise PayloadFault(Cause.EXPIRED)
        if timestamp > now + self.skew:
            raise PayloadFault(Cause.FROM_THE_FUTURE)


ANY_AGE: Final = FreshnessWindow(max_age=float("inf"), skew=float("inf"))


class Opened(NamedTuple):
    """The content of a token."""

    version: int
    timestamp: int
    plain: bytes

    def __repr__(self) -> str:
        """Show the version and the time, and keep the content out of logs."""
        return f"Opened(version={self.version}, timestamp={self.timestamp})"


def _uncounted(_ring: str, _version: int) -> None:
    """Only what the proxy encrypts under its rings is counted."""


class RingCodec:
    """Encrypts and decrypts with the keys of a ring as they are now."""

    def __init__(
        self,
        ring: Keyring,
        count: Callable[[str, int], None] = _uncounted,
        revoked: Container[tuple[str, int]] = frozenset(),
    ) -> None:
        """`count` gets ring and version of each message that is encrypted; `revoked` may grow."""
        self.name: Final = ring.name
        self.active: Final = ring.active.version
        readable = ring.readable
        self._fernets = {key.version: Fernet(base64.urlsafe_b64encode(key.secret)) for key in readable}
        self._secrets = {key.version: key.secret[:16] for key in readable}
        self._ended: Sequence[RingKey] = ring.ended
        self._count = count
        self._revoked = revoked

    def require(self, version: int | None) -> None:
        """Raises `PayloadFault` for a key that was revoked meanwhile; None: the active one."""
        if (self.name, self.active if version is None else version) in self._revoked:
            raise PayloadFault(Cause.REVOKED_KEY)

    def knows(self, version: int) -> bool:
        """Whether messages under this version can be read and answered."""
        return version in self._fernets

    def ended_cause(self, version: int) -> Cause:
        """Why a version is not known."""
        state = next((key.state for key in self._ended if key.version == version), None)
        match state:
            case PayloadKeyState.REVOKED:
                return Cause.REVOKED_KEY
            case PayloadKeyState.RETIRED:
                return Cause.RETIRED_KEY
            case _:
                return Cause.UNKNOWN_KEY

    def seal(self, plain: bytes, now: float, version: int | None = None) -> bytes:
        """Encrypt with a version; with the active one if that is None or not valid any more."""
        chosen = self.active if version is None or version not in self._fernets else version
        self._count(self.name, chosen)
        return self._fernets[chosen].encrypt_at_time(plain, int(now))

    def open(self, token: bytes, window: FreshnessWindow, now: float, version: int | None = None) -> Opened:
        """Decrypt; `version` is tried first. Raises `PayloadFault`."""
        _check_spelling(token)
        first = self.active if version is None or version not in self._fernets else version
        try:
            plain = self._fernets[first].decrypt(token)
        except InvalidToken:
            first = self._matching(_decoded(token), first)
            try:
                plain = self._fernets[first].decrypt(token)
            except InvalidToken:
                # authentic, and yet without whole blocks or padding: a holder of the key made it
                raise PayloadFault(Cause.BAD_TOKEN) from None
        self.require(first)
        if len(token) != token_length(len(plain)):
            raise PayloadFault(Cause.BAD_TOKEN)
        timestamp = int.from_bytes(base64.urlsafe_b64decode(token[:_HEAD_CHARACTERS])[1:9], "big")
        window.check(timestamp, now)
        return Opened(first, timestamp, plain)

    def _matching(self, data: bytes, tried: int) -> int:
        """The version whose key authenticates the token. Raises `PayloadFault`."""
        signed = data[:-_HMAC_BYTES]
        mac = data[-_HMAC_BYTES:]
        for version, secret in self._secrets.items():
            if version != tried and hmac.compare_digest(hmac.digest(secret, signed, "sha256"), mac):
                return version
        for key in self._ended:
            if key.secret and hmac.compare_digest(hmac.digest(key.secret, signed, "sha256"), mac):
                raise PayloadFault(Cause.REVOKED_KEY if key.state is PayloadKeyState.REVOKED else Cause.RETIRED_KEY)
        raise PayloadFault(Cause.BAD_TOKEN)


def _check_spelling(token: bytes) -> None:
    """Refuse another spelling of a token. Raises `PayloadFault`.

    Characters that a decoder passes over make a token longer than its content says: `open` looks
    for those.
    """
    last = token[-4:]
    if (
        len(token) < _SHORTEST
        or len(token) % 4
        or token.find(b"+") >= 0
        or token.find(b"/") >= 0
        or base64.urlsafe_b64encode(_decoded(last)) != last
    ):
        raise PayloadFault(Cause.BAD_TOKEN)


def _decoded(token: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(token)
    except binascii.Error:
        raise PayloadFault(Cause.BAD_TOKEN) from None
