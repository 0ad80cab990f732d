"""The answer to a client that named a key: one token if it is short, else a stream. Pure."""

from dataclasses import dataclass
from typing import Final

from proxy.http.framing import BodyKind, ResponseFraming
from proxy.http.responses import Response
from proxy.payload.answer_fields import sealed_lines
from proxy.payload.judgement import SINGLE, STREAM
from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher
from proxy.payload.messages.codec import LARGEST_PLAIN
from proxy.payload.messages.stream import StreamSealer, Vow

# Above this size a client that takes a stream gets one: the first octets are then there sooner.
_SHORT: Final = 65_536
_NO_CONTENT: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Under what an answer is encrypted."""

    channel: MessageCipher
    vow: Vow
    version: int | None
    """The version of the key that the client has used; None: the newest."""
    takes_stream: bool


class SealedAnswer:
    """Encrypts one answer. A single token is held back until the answer is complete."""

    def __init__(self, key: AnswerKey) -> None:
        self._key = key
        self._response: Response | None = None
        self._held = bytearray()
        self._stream: StreamSealer | None = None

    def begin(self, response: Response, method: bytes) -> Response | None:
        """The head for the client; None while it is held back."""
        framing = response.framing
        is_stream = self._key.takes_stream and (framing.length is None or framing.length > _SHORT)
        if framing.body is BodyKind.NONE:
            is_alike = method == b"HEAD" and framing.head.status not in _NO_CONTENT
            coding = (STREAM if is_stream else SINGLE) if is_alike else b""
            # RFC 9110 8.6: the length of a token is not known before it is made
            length = 0 if framing.length == 0 and not is_alike else None
            return self._changed(response, coding, BodyKind.NONE, length)
        if is_stream:
            self._stream = StreamSealer(self._key.channel.responses, self._key.vow, self._key.version)
            return self._changed(response, STREAM, BodyKind.CHUNKED, None)
        self._response = response
        return None

    def receive_data(self, data: bytes) -> None:
        """Take a piece of the answer. Raises `PayloadFault` if a single token cannot hold it."""
        if self._stream is not None:
            self._stream.receive_data(data)
            return
        self._held += data
        if len(self._held) > LARGEST_PLAIN:
            raise PayloadFault(Cause.ANSWER_TOO_LARGE)

    def data_to_send(self, now: float) -> bytes:
        return b"" if self._stream is None else self._stream.data_to_send(now)

    def finish(self, now: float) -> tuple[Response | None, bytes]:
        """The head if it was held back, and the last octets of the body."""
        if self._stream is not None:
            return None, self._stream.finish(now)
        if self._response is None:
            return None, b""
        token = self._key.channel.seal(Direction.RESPONSE, bytes(self._held), self._key.vow, now, self._key.version)
        return self._changed(self._response, SINGLE, BodyKind.LENGTH, len(token)), token

    def _changed(self, response: Response, coding: bytes, body: BodyKind, length: int | None) -> Response:
        channel = self._key.channel
        version = self._key.version
        key = b"" if channel.is_session else b"%b:%d" % (channel.key, version or channel.responses.active)
        lines = sealed_lines(response.forwarded, coding, key)
        return response.with_framing(_framed(response.framing, body, length), lines)


def _framed(framing: ResponseFraming, body: BodyKind, length: int | None) -> ResponseFraming:
    """Drop the trailers: they are not encrypted, and often tell something of the content."""
    special = {name: values for name, values in framing.special.items() if name != b"trailer"}
    return ResponseFraming(framing.head, body, length, framing.keep_alive, special, framing.named)
