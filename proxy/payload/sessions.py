"""Sessions: keys that a client and we have agreed on, and that only the client keeps. Pure.

A ticket is a token under a ring of ours, with the secret in it. So any process that has the ring
can open it, and nothing is stored for a client. HKDF makes the Fernet keys of both directions from
the secret, bound to the suite, the version of our key, and the ticket.
"""

import base64
import json
import struct
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxy.payload.keys.keyring import SECRET_BYTES, Keyring
from proxy.payload.keys.suites import MessageUnreadable, Suite, info_of
from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import ANY_AGE, FreshnessWindow, RingCodec

_LABEL: Final = b"plexigate payload keys 1"
# Version, when it ends (UNIX seconds), version of the KEM's key, secret; the name of the suite
# follows.
_TICKET: Final = struct.Struct(f">BQI{SECRET_BYTES}s")
_VERSION: Final = 1
# To open a ticket at each request would cost 60 us, and a browser that asks for forty things at
# once has one ticket.
_REMEMBERED: Final = 1_024


def session_key(secret: bytes, direction: Direction, agreed: bytes, ticket: bytes) -> bytes:
    """The Fernet key of one direction; `agreed` names suite and version of the KEM's key."""
    parts = (direction.value.encode(), agreed, ticket)
    info = _LABEL + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=info).derive(secret)


def session_cipher(
    ticket: bytes,
    secret: bytes,
    agreed: bytes,
    window: FreshnessWindow,
    revoked: Container[tuple[str, int]] = frozenset(),
) -> MessageCipher:
    """The channel of a session, at either end. Its keys end with its ticket: no use is counted."""
    requests, responses = [
        RingCodec(Keyring.fresh("", session_key(secret, direction, agreed, ticket), 0.0), revoked=revoked)
        for direction in (Direction.REQUEST, Direction.RESPONSE)
    ]
    return MessageCipher(
        ticket,
        requests,
        responses,
        is_bound=True,
        envelope=MessageEnvelope.NONE,
        window=window,
        is_session=True,
    )


@dataclass(frozen=True, slots=True)
class Agreed:
    """An answer to who asked for a session."""

    ticket: bytes
    expires: float


@dataclass(frozen=True, slots=True)
class Opening:
    """A request for a session: a thread computes `secret` in milliseconds; then call `agreed`."""

    secret: Callable[[], bytes]
    """Raises `MessageUnreadable`."""
    agreed: Callable[[bytes], Agreed]


@dataclass(frozen=True, slots=True)
class _RevokedWith:
    """The keys that a session ends with: the KEM's key of its agreement, and its ticket's key."""

    under: tuple[tuple[str, int], ...]
    revoked: Container[tuple[str, int]]

    def __contains__(self, _key: object) -> bool:
        return any(one in self.revoked for one in self.under)


class Sessions:
    """Makes and opens tickets, with the rings as they are now."""

    def __init__(
        self,
        tickets: Keyring,
        kems: Mapping[str, tuple[Suite, Keyring]],
        lifetime: float,
        window: FreshnessWindow,
        count: Callable[[str, int], None],
        revoked: Container[tuple[str, int]] = frozenset(),
    ) -> None:
        """`kems`: suites with rings of private keys; `lifetime` in seconds; `revoked` may grow."""
        self._tickets = RingCodec(tickets, count)
        self._kems = kems
        self._lifetime = lifetime
        self._window = window
        self._count = count
        self._revoked = revoked
        self._known: dict[bytes, tuple[int, MessageCipher]] = {}

    def establish(self, suite: str, version: int, message: bytes, now: float) -> Agreed | Opening:
        """Agree with a client, or say how to. Raises `PayloadFault`."""
        found = self._kems.get(suite)
        key = None if found is None else next((one for one in found[1].readable if one.version == version), None)
        if found is None or key is None:
            raise PayloadFault(Cause.BAD_HANDSHAKE)
        opened = partial(found[0].open, key.secret, message, info_of(suite, version))
        agreed = partial(self._agreed, found[1].name, suite, version, now)
        if found[0].is_slow:
            return Opening(opened, agreed)
        try:
            return agreed(opened())
        except MessageUnreadable:
            raise PayloadFault(Cause.BAD_HANDSHAKE) from None

    def _agreed(self, ring: str, suite: str, version: int, now: float, secret: bytes) -> Agreed:
        self._count(ring, version)
        expires = int(now + self._lifetime)
        content = _TICKET.pack(_VERSION, expires, version, secret) + suite.encode()
        return Agreed(self._tickets.seal(content, now).rstrip(b"="), expires)

    def channel(self, ticket: bytes, now: float) -> MessageCipher:
        known = self._known.get(ticket)
        if known is None:
            known = self._opened(ticket, now)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[ticket] = known
        expires, channel = known
        if now >= expires:
            raise PayloadFault(Cause.BAD_SESSION)
        try:
            channel.requests.require(None)
        except PayloadFault:  # a holder of the revoked key can read the session: the client needs a new one
            raise PayloadFault(Cause.BAD_SESSION) from None
        return channel

    def _opened(self, ticket: bytes, now: float) -> tuple[int, MessageCipher]:
        try:
            opened = self._tickets.open(ticket + b"=" * (-len(ticket) % 4), ANY_AGE, now)
            content = opened.plain
            version, expires, kem_version, secret = _TICKET.unpack_from(content)
        except (PayloadFault, struct.error):
            raise PayloadFault(Cause.BAD_SESSION) from None
        if version != _VERSION:
            raise PayloadFault(Cause.BAD_SESSION)
        suite = content[_TICKET.size :]
        agreed = b"%b:%d" % (suite, kem_version)
        rings = [(ring.name, kem_version) for name, (_, ring) in self._kems.items() if name.encode() == suite]
        revoked = _RevokedWith(((self._tickets.name, opened.version), *rings), self._revoked)
        return expires, session_cipher(ticket, secret, agreed, self._window, revoked)


def decoded(text: str) -> bytes:
    """Octets from base64url without padding. Raises `ValueError`."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def encoded(octets: bytes) -> str:
    """Octets as base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def message_for(suite: str, version: int, message: bytes) -> bytes:
    return json.dumps({"suite": suite, "key": version, "message": encoded(message)}).encode()
