"""WebSocket messages as tokens: each text or binary message of the client's side is one; the
backend's side is plain. Pure.

The frames were judged by the tracker of their direction before (`proxy.http.websocket.frames`), so
they are only cut here. Control frames pass. A message that came in fragments goes on in one frame.
Bound messages count from 0 in each direction of a connection, so one that is missing, repeated or
out of order is found.
"""

import secrets
from collections.abc import Callable
from typing import Final

from proxy.http.websocket.frames import FrameSender, masked
from proxy.payload.answer import AnswerKey
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.codec import LARGEST_PLAIN, MARK_CHARACTERS
from proxy.payload.messages.stream import FrameOpener, framed
from proxy.payload.messages.uses import MessageCounts

_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_MASK: Final = 0x80
_TEXT: Final = 0x1
_SHORT: Final = 125
_MASK_KEY: Final = 4
_EXTENDED: Final = {126: 2, 127: 8}
_LARGEST_MESSAGE: Final = 2 * LARGEST_PLAIN


class SealedMessages:
    def __init__(
        self,
        key: AnswerKey,
        digest: bytes,
        clock: Callable[[], float],
        refuse_replay: Callable[[bytes], None],
        counts: MessageCounts,
    ) -> None:
        """`key` is that of our messages, `digest` that of the place of the client's; `clock` gives
        UNIX seconds.

        `refuse_replay` is told a mark of each message that might have been there before, and raises
        `PayloadFault` if it was.
        """
        self._channel = key.channel
        self._clock = clock
        self._refuse_replay = refuse_replay
        self._counts = counts
        self._version = key.version
        self._frames = FrameOpener(digest)
        self._vow = key.vow
        self._number = 0

    def filter(self, sender: FrameSender) -> "MessageFilter":
        """What the frames of one side go through."""
        return MessageFilter(sender, self._opened if sender is FrameSender.CLIENT else self._sealed)

    def _opened(self, opcode: int, message: bytes) -> bytes:
        channel = self._channel
        opened = channel.requests.open(message, channel.window, self._clock(), self._version)
        self._version = opened.version
        plain = opened.plain
        if channel.is_bound:
            is_first = self._frames.message_id is None
            plain = self._frames.open(plain)
            if is_first:  # the others are of the same id, and in order
                self._refuse_replay(self._frames.message_id or b"")
        else:
            self._refuse_replay(message[-MARK_CHARACTERS:])
        if opcode == _TEXT:
            try:
                plain.decode()
            except UnicodeDecodeError:  # RFC 6455 8.1: the backend would have to fail the connection
                raise PayloadFault(Cause.BAD_TOKEN) from None
        self._counts.opened += 1
        return plain

    def _sealed(self, _opcode: int, message: bytes) -> bytes:
        channel = self._channel
        channel.responses.require(self._version)
        if channel.is_bound:
            message = framed(self._vow, self._number, message, is_last=False)
            self._number += 1
        self._counts.sealed += 1
        return channel.responses.seal(message, self._clock(), self._version)


class MessageFilter:
    """Cuts the frames of one side and changes its messages; what comes out ends with a frame."""

    def __init__(self, sender: FrameSender, convert: Callable[[int, bytes], bytes]) -> None:
        """`convert` gets the opcode and content of each message."""
        self._is_masked = sender is FrameSender.CLIENT
        self._convert = convert
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode = 0

    def receive_data(self, data: bytes) -> bytes:
        """Take octets that the tracker has judged; what is to be sent on. Raises `PayloadFault`."""
        self._buffer += data
        out = []
        while (frame := self._next_frame()) is not None:
            first, payload, raw = frame
            if first & _CONTROL:
                out.append(raw)
                continue
            self._opcode = first & _OPCODE or self._opcode
            self._message += payload
            if len(self._message) > _LARGEST_MESSAGE:
                raise PayloadFault(Cause.TOO_LARGE)
            if first & _FIN:
                message, self._message = bytes(self._message), bytearray()
                out.append(self._frame(self._convert(self._opcode, message)))
        return b"".join(out)

    def _next_frame(self) -> tuple[int, bytes, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        start = 2
        length = buffer[1] & ~_MASK
        if length > _SHORT:
            start += _EXTENDED[length]
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
            # before it is kept: the limits of a relay, which keeps nothing, are far wider
            if length > _LARGEST_MESSAGE:
                raise PayloadFault(Cause.TOO_LARGE)
        end = start + (_MASK_KEY if self._is_masked else 0) + length
        if len(buffer) < end:
            return None
        raw = bytes(buffer[:end])
        del buffer[:end]
        if self._is_masked:
            return raw[0], masked(raw[start + _MASK_KEY :], raw[start : start + _MASK_KEY]), raw
        return raw[0], raw[start:], raw

    def _frame(self, payload: bytes) -> bytes:
        size = len(payload)
        mask = _MASK if self._is_masked else 0
        if size <= _SHORT:
            head = bytes((_FIN | self._opcode, mask | size))
        elif size < 65_536:
            head = bytes((_FIN | self._opcode, mask | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((_FIN | self._opcode, mask | 127)) + size.to_bytes(8, "big")
        if not self._is_masked:
            return head + payload
        key = secrets.token_bytes(_MASK_KEY)
        return head + key + masked(payload, key)
