"""What a request on a payload route asks for, from its head alone. Pure.

A request names a key in one of three ways: by a token in its body, by `Payload-Key` (a ring, or
`ring:version` if the client has no newer key) or by `Payload-Session` (a ticket). A WebSocket of a
browser can set no field and names it by a subprotocol. A client that named a key gets the answer
under it.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

from proxy.http.fields import Fields
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.grammar import list_elements
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.payload.messages.binding import ID_BYTES
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher

SINGLE: Final = b"fernet"
STREAM: Final = b"fernet-stream"
KEY_PROTOCOL: Final = b"payload-key."
SESSION_PROTOCOL: Final = b"payload-session."

# These fields are between the client and us. The backend gets the message as if it had never been
# encrypted.
_OURS: Final = frozenset({b"payload-key", b"payload-session", b"payload-accept", b"payload-nonce"})
_OF_THE_CODING: Final = frozenset({b"content-encoding", b"content-md5", b"digest", b"content-digest"})
# An answer that is encrypted is made of the whole representation, uncompressed.
_OF_THE_ANSWER: Final = frozenset({b"accept-encoding", b"range", b"if-range"})
_READ: Final = _OURS | {b"content-encoding", b"accept-encoding", b"origin", b"access-control-request-method"}


class Requirement(Enum):
    """What a route demands of its clients."""

    ACCEPT = auto()
    REQUIRE = auto()


class SessionTable(Protocol):
    """Opens tickets."""

    def channel(self, ticket: bytes, now: float) -> MessageCipher:
        """The channel of a session. Raises `PayloadFault`."""


@dataclass(frozen=True, slots=True)
class PayloadRoute:
    requirement: Requirement
    rings: Mapping[bytes, MessageCipher]
    default: bytes | None
    """The ring of requests that name none."""
    sessions: SessionTable | None
    takes_websockets: bool
    replay_seconds: float | None = None
    """How long a message is remembered, to be refused when it comes again; None: not at all."""
    origins: frozenset[bytes] = frozenset()
    """The origins whose pages may read the answers of the proxy itself."""


class Coding(Enum):
    """What the body of a request is."""

    PLAIN = auto()
    TOKEN = auto()
    TOKENS = auto()


class PayloadJudgement(NamedTuple):
    """What becomes of a request."""

    coding: Coding
    channel: MessageCipher | None
    """It is None if nothing is encrypted."""
    version: int | None
    """Of the key that the client named."""
    takes_stream: bool
    nonce: bytes
    framing: RequestFraming
    """As the backend is to see it, except the length of a body that is decrypted."""
    protocol: bytes = b""
    """The subprotocol that named the key."""


def judge(route: PayloadRoute, framing: RequestFraming, method: bytes, now: float) -> PayloadJudgement:
    """Raises `PayloadFault` for what the route does not take."""
    values = _values(framing.fields)
    coding = _coding(route, framing, values)
    channel, version, protocol = _channel(route, framing, values, coding, now)
    if framing.websocket is not None:
        return _websocket(route, framing, channel, version, protocol)
    has_body = framing.body is BodyKind.CHUNKED or framing.length > 0
    if coding is not Coding.PLAIN and not has_body:
        raise PayloadFault(Cause.BAD_TOKEN)
    if channel is None or (coding is Coding.PLAIN and has_body):
        _check_plain(route, values, method, has_body=has_body)
    removed = _OURS
    if coding is not Coding.PLAIN:
        removed |= _OF_THE_CODING
    if channel is not None:
        removed |= _OF_THE_ANSWER
    fields = _without(framing.fields, removed)
    takes_stream = coding is Coding.TOKENS or any(
        STREAM in _codings(values.get(name, [])) for name in (b"payload-accept", b"accept-encoding")
    )
    told = framing.with_fields(fields, None)
    return PayloadJudgement(coding, channel, version, takes_stream, _nonce(values), told)


def _values(fields: Fields) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields.forwarded:
        lowered = name.lower()
        if lowered in _READ:
            values.setdefault(lowered, []).append(value)
    return values


def _without(fields: Fields, names: frozenset[bytes]) -> Fields:
    kept = [line for line in fields.sent if not (line.goes_on and line.header[0].lower() in names)]
    return Fields(kept, fields.special, fields.removed)


def _codings(values: list[bytes]) -> list[bytes]:
    return [element.partition(b";")[0].strip().lower() for element in list_elements(values)]


def _coding(route: PayloadRoute, framing: RequestFraming, values: Mapping[bytes, list[bytes]]) -> Coding:
    codings = _codings(values.get(b"content-encoding", []))
    match codings:
        case [b"fernet"]:
            return Coding.TOKEN
        case [b"fernet-stream"]:
            return Coding.TOKENS
        case _ if {SINGLE, STREAM} & set(codings):  # compressed before or after: lengths would reveal the content
            raise PayloadFault(Cause.BAD_CODING)
        case [_, *_] if route.requirement is Requirement.REQUIRE and framing.body is not BodyKind.NONE:
            raise PayloadFault(Cause.BAD_CODING)
        case _:
            return Coding.PLAIN


def _channel(
    route: PayloadRoute, framing: RequestFraming, values: Mapping[bytes, list[bytes]], coding: Coding, now: float
) -> tuple[MessageCipher | None, int | None, bytes]:
    rings = values.get(b"payload-key", [])
    tickets = values.get(b"payload-session", [])
    protocol = b""
    if framing.websocket is not None and not rings and not tickets:
        protocol = _protocol(framing.websocket)
        rings, tickets = _named_by(protocol)
    if len(rings) + len(tickets) > 1:
        raise PayloadFault(Cause.UNKNOWN_KEY)
    channel = None
    version = None
    if tickets:
        channel = _session(route, tickets[0], now)
    elif rings:
        channel, version = _named(route, rings[0])
    elif coding is not Coding.PLAIN:
        channel = _default(route)
    return channel, version, protocol


def _named_by(protocol: bytes) -> tuple[list[bytes], list[bytes]]:
    """The ring, or the ticket, that a subprotocol names."""
    if protocol.startswith(KEY_PROTOCOL):
        # RFC 6455 section 4.1: a subprotocol is a token, which a colon cannot stand in
        return [protocol.removeprefix(KEY_PROTOCOL).replace(b"~", b":")], []
    return [], [protocol.removeprefix(SESSION_PROTOCOL)] if protocol else []


def _session(route: PayloadRoute, ticket: bytes, now: float) -> MessageCipher:
    if route.sessions is None:
        raise PayloadFault(Cause.BAD_SESSION)
    return route.sessions.channel(ticket, now)


def _default(route: PayloadRoute) -> MessageCipher:
    if route.default is None:
        raise PayloadFault(Cause.NO_KEY_NAMED)
    return route.rings[route.default]


def _named(route: PayloadRoute, value: bytes) -> tuple[MessageCipher, int | None]:
    name, colon, digits = value.partition(b":")
    channel = route.rings.get(name)
    if channel is None or (colon and not (digits.isdigit() and len(digits) < 10)):
        raise PayloadFault(Cause.UNKNOWN_KEY)
    if not colon:
        return channel, None
    version = int(digits)
    if not channel.requests.knows(version):
        raise PayloadFault(channel.requests.ended_cause(version))
    return channel, version


def _protocol(offer: WebSocketOffer) -> bytes:
    return next((one for one in offer.protocols if one.startswith((KEY_PROTOCOL, SESSION_PROTOCOL))), b"")


def _check_plain(route: PayloadRoute, values: Mapping[bytes, list[bytes]], method: bytes, *, has_body: bool) -> None:
    """Raises `PayloadFault` if something is plain that has to be encrypted."""
    if route.requirement is Requirement.ACCEPT:
        return
    if has_body:
        raise PayloadFault(Cause.REQUIRED)
    # Fetch standard 3.3: a preflight carries nothing of ours, and nothing of the page's
    if not (method == b"OPTIONS" and b"origin" in values and b"access-control-request-method" in values):
        raise PayloadFault(Cause.NO_KEY_NAMED)


def _nonce(values: Mapping[bytes, list[bytes]]) -> bytes:
    """What a request without a body binds its answer to: 16 octets in hexadecimal, or nothing."""
    given = values.get(b"payload-nonce", [])
    if len(given) != 1 or len(given[0]) != 2 * ID_BYTES:
        return b""
    try:
        return binascii.unhexlify(given[0])
    except binascii.Error:
        return b""


def _websocket(
    route: PayloadRoute, framing: RequestFraming, channel: MessageCipher | None, version: int | None, protocol: bytes
) -> PayloadJudgement:
    is_required = route.requirement is Requirement.REQUIRE
    if not route.takes_websockets and (is_required or channel is not None):
        raise PayloadFault(Cause.WEBSOCKET)
    if channel is None and is_required:
        raise PayloadFault(Cause.NO_KEY_NAMED)
    offer = framing.websocket
    assert offer is not None  # its caller
    fields = _without(framing.fields, _OURS)
    if channel is not None:
        # an extension would change messages on their way to us; what names our key is not for the
        # backend
        kept = tuple(one for one in offer.protocols if one != protocol)
        offer = offer._replace(protocols=kept, extensions=b"")
    changed = framing.with_fields(fields, offer)
    return PayloadJudgement(Coding.PLAIN, channel, version, False, _nonce(_values(framing.fields)), changed, protocol)  # noqa: FBT003 - by place
