"""The two directions between one client and us, under a shared ring or under a session. Pure."""

import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.codec import LARGEST_PLAIN, FreshnessWindow, RingCodec
from proxy.payload.messages.stream import FrameOpener, Vow, framed

_ENVELOPE: Final = struct.Struct(">Q")


class MessageEnvelope(StrEnum):
    """What stands before the message in a single token."""

    NONE = "none"
    PLEXICHAT = "plexichat"
    """UNIX time in seconds, 8 octets, big-endian: the HTTP encryption of PlexiChat."""


@dataclass(frozen=True, slots=True)
class MessageCipher:
    """How messages of both directions are encrypted."""

    key: bytes
    """What the client named: a ring, or the ticket of a session."""
    requests: RingCodec
    responses: RingCodec
    """The same as `requests` under a shared ring."""
    is_bound: bool
    envelope: MessageEnvelope
    window: FreshnessWindow
    is_session: bool = False

    @property
    def label(self) -> str:
        """The name for counts: that of the ring, or one of all sessions, which no ring can have."""
        return ":sessions" if self.is_session else self.key.decode()

    def codec(self, direction: Direction) -> RingCodec:
        return self.requests if direction is Direction.REQUEST else self.responses

    def open(self, direction: Direction, token: bytes, digest: bytes, now: float, version: int | None) -> "Message":
        """Read a single token as message; `digest` is of its place. Raises `PayloadFault`."""
        opened = self.codec(direction).open(token, self.window, now, version)
        plain = opened.plain
        message_id = b""
        if self.is_bound:
            frames = FrameOpener(digest)
            plain = frames.open(plain)
            if not frames.is_finished:  # a token of a stream
                raise PayloadFault(Cause.BAD_STREAM)
            message_id = frames.message_id or b""
        if self.envelope is MessageEnvelope.PLEXICHAT:
            plain = self._unwrapped(plain, now)
        if len(plain) > LARGEST_PLAIN:
            raise PayloadFault(Cause.TOO_LARGE)
        return Message(plain, message_id, opened.version)

    def seal(self, direction: Direction, plain: bytes, vow: Vow, now: float, version: int | None) -> bytes:
        if self.envelope is MessageEnvelope.PLEXICHAT:
            plain = _ENVELOPE.pack(int(now)) + plain
        if self.is_bound:
            plain = framed(vow, 0, plain, is_last=True)
        return self.codec(direction).seal(plain, now, version)

    def _unwrapped(self, plain: bytes, now: float) -> bytes:
        if len(plain) < _ENVELOPE.size:
            raise PayloadFault(Cause.BAD_TOKEN)
        self.window.check(_ENVELOPE.unpack_from(plain)[0], now)
        return plain[_ENVELOPE.size :]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was read; `message_id` is empty where none is bound."""

    plain: bytes = field(repr=False)
    message_id: bytes
    version: int
