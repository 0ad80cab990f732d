"""The client's side, for Python: bodies in, headers and tokens out. Needs only cryptography.

Any library may send them:

    client = PayloadClient.of_ring(json.loads(exported), time.time)
    sealed = client.request("POST", url, b"hello")
    answer = requests.post(url, data=sealed.body, headers=sealed.headers)  # or aiohttp, http.client
    plain = sealed.open(answer.status_code, answer.headers, answer.content)

Answers of the proxy itself (errors) are not encrypted: `open` raises `AnswerNotSealed`, and their
content proves nothing. A client that has no ring agrees on a session: `offer`.
"""

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from proxy.payload.key_document import DocumentRefused, PinnedIdentity
from proxy.payload.keys.keyring import Keyring, PayloadKeyState, RingKey
from proxy.payload.keys.suites import BUILT_IN, Suite, info_of
from proxy.payload.messages.binding import ID_BYTES, BoundExchange, Direction
from proxy.payload.messages.channel import MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import LARGEST_PLAIN, FreshnessWindow, RingCodec
from proxy.payload.messages.stream import LARGEST_PIECE, FrameOpener, StreamOpener, StreamSealer, Vow, framed
from proxy.payload.sessions import message_for, session_cipher

_SINGLE: Final = "fernet"
_STREAM: Final = "fernet-stream"
_NO_CONTENT: Final = frozenset({204, 205, 304})
_DEFAULT_WINDOW: Final = FreshnessWindow(60.0, 30.0)


class AnswerNotSealed(Exception):
    """An answer that is not encrypted: of the proxy itself, or of an attacker in its place."""

    def __init__(self, status: int, cause: str | None) -> None:
        """`cause` is the `type` of its problem+json, which nothing vouches for."""
        super().__init__(status, cause)
        self.status = status
        self.cause = cause

    def __str__(self) -> str:
        return f"the answer ({self.status}) is not encrypted; it says {self.cause or 'nothing of a cause'}"


class PayloadClient:
    """Encrypts requests and decrypts their answers, under one ring or session."""

    def __init__(self, channel: MessageCipher, clock: Callable[[], float]) -> None:
        """`channel` is the proxy's, with all keys of the client; `clock` gives UNIX seconds."""
        self._channel = channel
        self._clock = clock

    @classmethod
    def of_ring(cls, exported: Mapping[str, Any], clock: Callable[[], float]) -> "PayloadClient":
        """With what `plexigate payload export` wrote. Raises `KeyError` or `ValueError`."""
        keys = tuple(
            RingKey(int(key["version"]), PayloadKeyState(key["state"]), 0.0, base64.urlsafe_b64decode(key["key"]))
            for key in exported["keys"]
        )
        codec = RingCodec(Keyring(exported["ring"], keys))
        window = FreshnessWindow(float(exported["max_age_seconds"]), _DEFAULT_WINDOW.skew)
        envelope = MessageEnvelope(exported["envelope"])
        return cls(MessageCipher(exported["ring"].encode(), codec, codec, exported["bind"], envelope, window), clock)

    def request(self, method: str, url: str, body: bytes | Iterable[bytes] | None = None) -> "SealedRequest":
        """A request for exactly this method and URL. An iterable is encrypted while it is sent."""
        return SealedRequest(self._channel, self._place(method, url), body, self._clock)

    def websocket(self, url: str) -> "SealedSocket":
        """A WebSocket at this URL (`https` or `wss`), whose handshake has to carry the headers."""
        return SealedSocket(self._channel, self._place("GET", url), self._clock)

    def _place(self, method: str, url: str) -> BoundExchange:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = (parts.hostname or "").lower().removesuffix(".")
        return BoundExchange(method.encode(), host.encode(), target.encode(), self._channel.key)


def _naming(channel: MessageCipher, message_id: bytes) -> dict[str, str]:
    """The headers that name the key and what the answer is bound to."""
    name = ("Payload-Session", channel.key.decode())
    if not channel.is_session:
        name = ("Payload-Key", f"{channel.key.decode()}:{channel.requests.active}")
    return dict([name, ("Payload-Nonce", message_id.hex())])


class SealedSocket:
    """The messages of one WebSocket."""

    def __init__(self, channel: MessageCipher, place: BoundExchange, clock: Callable[[], float]) -> None:
        self._channel = channel
        self._clock = clock
        self._vow = Vow(secrets.token_bytes(ID_BYTES), place.digest(Direction.REQUEST))
        self._frames = FrameOpener(place.digest(Direction.RESPONSE, self._vow.message_id))
        self._number = 0
        self.headers = _naming(channel, self._vow.message_id)

    def seal(self, message: bytes) -> bytes:
        """The token to send in place of a message, in a frame of the same kind."""
        if self._channel.is_bound:
            message = framed(self._vow, self._number, message, is_last=False)
            self._number += 1
        return self._channel.requests.seal(message, self._clock())

    def open(self, token: bytes) -> bytes:
        """The message in a token, in the order in which they came. Raises `PayloadFault`."""
        plain = self._channel.responses.open(token, self._channel.window, self._clock()).plain
        return self._frames.open(plain) if self._channel.is_bound else plain


class SealedRequest:
    """One request, and the way to read its answer."""

    def __init__(
        self,
        channel: MessageCipher,
        place: BoundExchange,
        body: bytes | Iterable[bytes] | None,
        clock: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._place = place
        self._clock = clock
        message_id = secrets.token_bytes(ID_BYTES)
        vow = Vow(message_id, place.digest(Direction.REQUEST))
        self._answers = message_id
        self.headers = {"Payload-Accept": _STREAM, **_naming(channel, message_id)}
        self.body: bytes | Iterator[bytes] | None = None
        if isinstance(body, bytes) and len(body) > LARGEST_PLAIN:
            body = [body]
        if isinstance(body, bytes):
            self.headers["Content-Encoding"] = _SINGLE
            self.body = channel.seal(Direction.REQUEST, body, vow, clock(), None)
        elif body is not None:
            self.headers["Content-Encoding"] = _STREAM
            self.body = self._stream(body, vow)

    def _stream(self, pieces: Iterable[bytes], vow: Vow) -> Iterator[bytes]:
        sealer = StreamSealer(self._channel.requests, vow, None)
        for piece in pieces:
            for start in range(0, len(piece), LARGEST_PIECE):
                sealer.receive_data(piece[start : start + LARGEST_PIECE])
                if sealer.pending >= LARGEST_PIECE:
                    yield sealer.data_to_send(self._clock())
        yield sealer.finish(self._clock())

    def open(self, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        """The content of a complete answer. Raises `AnswerNotSealed`, or `PayloadFault`."""
        coding = _field(headers, "content-encoding")
        if coding == _STREAM:
            return b"".join(self.pieces(status, headers, [body]))
        if coding == _SINGLE and body:
            return self._channel.open(Direction.RESPONSE, body, self._digest, self._clock(), None).plain
        if not body and (status in _NO_CONTENT or self._place.method == b"HEAD"):
            return b""
        raise AnswerNotSealed(status, _cause(body))

    def pieces(self, status: int, headers: Mapping[str, str], body: Iterable[bytes]) -> Iterator[bytes]:
        """The content of an answer that is a stream, as it comes.

        Raises as `open` does. The content is known to be whole only at its end.
        """
        if _field(headers, "content-encoding") != _STREAM:
            yield self.open(status, headers, b"".join(body))
            return
        opener = StreamOpener(self._channel.responses, self._digest, self._channel.window)
        for received in body:
            yield from opener.receive_data(received, self._clock())
        opener.finish()

    @property
    def _digest(self) -> bytes:
        return self._place.digest(Direction.RESPONSE, self._answers)


@dataclass(frozen=True, slots=True)
class SessionOffer:
    """A message that asks for a session.

    POST `body` as JSON to `/.well-known/payload-sessions`, then call `accepted`.
    """

    suite: str
    version: int
    secret: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def to(cls, signed: bytes, pinned: PinnedIdentity, now: float, suites: Mapping[str, Suite] = BUILT_IN) -> Self:
        """For the first key of a document (`GET /.well-known/payload-keys`) whose suite is at hand.

        Raises `DocumentRefused`.
        """
        keys = pinned.verified(signed, now)
        refused = [f"none of its suites is at hand: {', '.join(key.suite for key in keys)}"]
        for key in keys:
            suite = suites.get(key.suite)
            if suite is None:
                continue
            if suite.variant != key.variant:
                refused.append(f"{key.suite} is {key.variant or 'of no variant'} there, and {suite.variant} here")
                continue
            try:
                message, secret = suite.seal(key.public, info_of(key.suite, key.version))
            except ValueError:
                refused.append(f"the key of {key.suite} is none")
                continue
            return cls(key.suite, key.version, secret, message_for(key.suite, key.version, message))
        raise DocumentRefused("; ".join(refused[1:] or refused))

    def accepted(self, answer: bytes, clock: Callable[[], float]) -> PayloadClient:
        """The client of the session. Raises `KeyError` or `ValueError` for a wrong answer."""
        ticket = str(json.loads(answer)["ticket"]).encode()
        agreed = f"{self.suite}:{self.version}".encode()
        return PayloadClient(session_cipher(ticket, self.secret, agreed, _DEFAULT_WINDOW), clock)


def _field(headers: Mapping[str, str], name: str) -> str:
    return next((value for found, value in headers.items() if found.lower() == name), "").strip().lower()


def _cause(body: bytes) -> str | None:
    try:
        cause = json.loads(body)["type"]
    except (ValueError, KeyError, TypeError):
        return None
    return cause if isinstance(cause, str) else None
