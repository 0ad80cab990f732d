"""Messages of one or more tokens that vouch for each other: `Content-Encoding: fernet-stream`, and
bound single tokens. Pure.

A body is a sequence of Fernet tokens, each followed by a line feed. The content of every token
begins with a head:

    version 1 | flags | message id (16) | sequence number (8) | digest of the place (32)

The id is random for each message, the number counts from 0, flag 1 marks the last token. So a token
that is missing, repeated, out of order, of another message or of another place is found when it
comes, and a message that was cut is never complete: the last octets are handed on only with the
last mark. All tokens of a message are under one key.
"""

import hmac
import struct
from dataclasses import dataclass
from typing import Final

from proxy.payload.messages.binding import DIGEST_BYTES, ID_BYTES
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.codec import ANY_AGE, FreshnessWindow, RingCodec, token_length

_HEAD: Final = struct.Struct(f">BB{ID_BYTES}sQ{DIGEST_BYTES}s")
_VERSION: Final = 1
_LAST: Final = 1
_LARGEST_CONTENT: Final = 65_536
LARGEST_PIECE: Final = _LARGEST_CONTENT - _HEAD.size
"""Octets of the message in one token."""
_LONGEST_TOKEN: Final = token_length(_LARGEST_CONTENT)


def bound_length(plain: int) -> int:
    """The length of a single bound token of a message of `plain` octets."""
    return token_length(plain + _HEAD.size)


@dataclass(frozen=True, slots=True)
class Vow:
    """What all tokens of one message carry."""

    message_id: bytes
    digest: bytes


def framed(vow: Vow, number: int, piece: bytes, *, is_last: bool) -> bytes:
    return _HEAD.pack(_VERSION, _LAST if is_last else 0, vow.message_id, number, vow.digest) + piece


class StreamSealer:
    def __init__(self, codec: RingCodec, vow: Vow, version: int | None) -> None:
        """Encrypt with `version` of the codec's ring; None: the one that is active now."""
        self._codec = codec
        self._vow = vow
        self._version = codec.active if version is None else version
        self._number = 0
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """Octets that were taken and are in no token yet."""
        return len(self._pending)

    def receive_data(self, data: bytes) -> None:
        self._pending += data

    def data_to_send(self, now: float) -> bytes:
        tokens = []
        while self._pending:
            tokens.append(self._token(now, is_last=False))
        return b"".join(tokens)

    def finish(self, now: float) -> bytes:
        """The tokens of the rest, with the last mark; a message without content has one token."""
        tokens = []
        while len(self._pending) > LARGEST_PIECE:
            tokens.append(self._token(now, is_last=False))
        tokens.append(self._token(now, is_last=True))
        return b"".join(tokens)

    def _token(self, now: float, *, is_last: bool) -> bytes:
        piece = bytes(self._pending[:LARGEST_PIECE])
        del self._pending[:LARGEST_PIECE]
        content = framed(self._vow, self._number, piece, is_last=is_last)
        self._number += 1
        return self._codec.seal(content, now, self._version) + b"\n"


class FrameOpener:
    """Checks the heads of the tokens of one message, in their order."""

    def __init__(self, digest: bytes, message_id: bytes | None = None) -> None:
        """`digest` is that of the place where the message was found.

        The id is that of the first token, unless it is known.
        """
        self._digest = digest
        self._number = 0
        self.message_id = message_id
        self.is_finished = False

    def open(self, content: bytes) -> bytes:
        """The piece in a token. Raises `PayloadFault`."""
        if len(content) < _HEAD.size or self.is_finished:
            raise PayloadFault(Cause.BAD_STREAM)
        version, flags, message_id, number, digest = _HEAD.unpack_from(content)
        if version != _VERSION or flags > _LAST:
            raise PayloadFault(Cause.BAD_STREAM)
        if not hmac.compare_digest(digest, self._digest):
            raise PayloadFault(Cause.MISPLACED)
        if self.message_id is None:
            self.message_id = message_id
        if message_id != self.message_id or number != self._number:
            raise PayloadFault(Cause.BAD_STREAM)
        self._number += 1
        self.is_finished = flags == _LAST
        return content[_HEAD.size :]


class StreamOpener:
    """Reads the tokens of one message, however they come."""

    def __init__(self, codec: RingCodec, digest: bytes, window: FreshnessWindow, version: int | None = None) -> None:
        self._codec = codec
        self._window = window
        self._frames = FrameOpener(digest)
        self._buffer = bytearray()
        self._scanned = 0
        self.version = version
        """Of the key, once a token was read."""
        self.timestamp: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the last token came."""
        return self._frames.is_finished

    @property
    def message_id(self) -> bytes | None:
        """The id of the message; None before the first token."""
        return self._frames.message_id

    def receive_data(self, data: bytes, now: float) -> list[bytes]:
        """Take a piece of the body; return what it completes. Raises `PayloadFault`."""
        self._buffer += data
        pieces = []
        start = 0
        while (end := self._buffer.find(b"\n", max(start, self._scanned))) >= 0:
            pieces.append(self._open(bytes(self._buffer[start:end]), now))
            start = end + 1
        del self._buffer[:start]
        self._scanned = len(self._buffer)
        if self._scanned > _LONGEST_TOKEN:
            raise PayloadFault(Cause.BAD_TOKEN)
        return pieces

    def finish(self) -> None:
        """The body has ended. Raises `PayloadFault` for a message that has not."""
        if self._buffer or not self.is_finished:
            raise PayloadFault(Cause.BAD_STREAM)

    def _open(self, token: bytes, now: float) -> bytes:
        if len(token) > _LONGEST_TOKEN:
            raise PayloadFault(Cause.BAD_TOKEN)
        is_first = self.timestamp is None
        # only the first token of a message is held to its time: an upload may last for hours
        opened = self._codec.open(token, self._window if is_first else ANY_AGE, now, self.version)
        if not is_first and opened.version != self.version:
            raise PayloadFault(Cause.BAD_STREAM)
        self.version = opened.version
        self.timestamp = opened.timestamp
        return self._frames.open(opened.plain)
