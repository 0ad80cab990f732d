"""WebSocket frames, seen by a relay (RFC 6455 section 5).

Payloads pass unchanged. A tracker for each direction reads only the frame headers, so its work does
not depend on the size of a payload. It tells the relay where a frame ends, so that the relay can
insert a close frame of its own. It refuses frames that the peers might understand differently, and
messages without end.

The handshake before the frames is in `upgrade`.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final

from mypy_extensions import i64

_FIN: Final = 0x80
_RSV: Final = 0x70
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_MASK: Final = 0x80
_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_OPCODES: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})

# RFC 6455 5.2: the second octet holds a length up to 125. 126 and 127 there mean that 2 or
# 8 octets with the length follow. Such a length is at least 126, or 65,536.
_SHORT: Final = 125
_TWO_OCTETS: Final = 126
_TWO_OCTETS_MOST: Final = 65_535
_EXTENDED: Final = {_TWO_OCTETS: (2, 126), 127: (8, 65_536)}
_MASK_KEY: Final = 4
# The most that is kept of an incomplete frame: a close frame without its last octet.
_KEPT: Final = 2 + _MASK_KEY + _SHORT

# Honest programs send any number of fragments with this many octets on average: the Autobahn suite
# sends some of 64 octets. If fragments are smaller, and a server keeps them in a list, the list
# costs it more memory than the message.
_FRAGMENT_BYTES: Final = 32

# RFC 6455 5.5: a control frame has at most 125 octets of payload, and two are the code.
_REASON_BYTES: Final = 123


class CloseCode(IntEnum):
    """Why a connection is closed: the codes of RFC 6455 7.4.1 and IANA that a relay sends."""

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013


class FrameSender(Enum):
    """The side that sent the frames."""

    CLIENT = auto()
    SERVER = auto()


class Extensions(Enum):
    """Whether the handshake agreed on an extension, which may then use the reserved bits."""

    NONE = auto()
    NEGOTIATED = auto()


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """How large a message may be, as it is transferred."""

    message_bytes: int
    fragments: int
    """Frames of one message beyond one for each 32 octets. Frames without payload count too."""


class WebSocketViolation(Exception):
    """Frames that are not relayed.

    `close_code` is the code for the peers. `border` is how much of the latest data is good and ends
    with a frame. It is None if the offending frame began in earlier data: then no frame can be
    inserted any more.
    """

    def __init__(self, close_code: CloseCode, reason: str, border: int | None) -> None:
        """`reason` is a short fixed text, which may stand in a close frame."""
        super().__init__(close_code, reason, border)
        self.close_code = close_code
        self.reason = reason
        self.border = border

    def __str__(self) -> str:
        return f"{self.reason} ({self.close_code.value})"


class FrameTracker:
    """Follows the frames that one side sends.

    It counts a frame when the header of the frame has passed, and a message when the header of its
    last frame has passed. A tracker must not be used any more after a violation.
    """

    def __init__(self, sender: FrameSender, limits: WebSocketLimits, extensions: Extensions) -> None:
        """Begin at the first octet behind the handshake."""
        self.frames = 0
        self.messages = 0
        self.close_sent = False
        """Whether a whole close frame has passed: bytes behind it mean nothing."""
        self.close_code: int | None = None
        self.excess = 0
        """Octets of the latest data behind the close frame; they are discarded (RFC 6455 1.4)."""
        self._limits = limits
        self._mask = _MASK if sender is FrameSender.CLIENT else 0
        self._header = 2 + _MASK_KEY if sender is FrameSender.CLIENT else 2
        self._most = min(_TWO_OCTETS_MOST, limits.message_bytes)
        self._faults = _FAULTS[extensions]
        self._single = _SINGLE[extensions]
        self._kept = b""
        """A frame that came in part, as long as its length is not known."""
        self._rest = 0
        """Octets until a frame ends whose length is known."""
        self._message_bytes = 0
        self._fragments = 0
        """Frames so far of the message that is being sent in fragments; 0 if none is."""

    @property
    def at_frame_border(self) -> bool:
        """Whether a frame can be inserted behind the data so far."""
        return not self._kept and not self._rest

    def receive_data(self, data: bytes) -> int | None:
        """Follow the frames in `data`. Raises WebSocketViolation.

        Returns how many octets of `data` come before the first frame border in it: the end of the
        first frame that ends there. The relay can insert a frame at that place. None if no frame
        ends in `data`.
        """
        size = len(data)
        if self.close_sent:
            self.excess = size
            return None
        position = self._rest
        if self._kept:
            end = self._end_of_begun(data)
            if end is None:
                return None
            position = end
        border = position
        while position < size:
            length: int = self._single_frame(data, position, size)
            if length:
                self.messages += 1
            elif self.close_sent:
                self.excess = size - position
                self._rest = 0
                return border or None
            else:
                length = self._frame(data, position)
                if not length:
                    self._kept = data[position:]
                    return border or None
            position += length
            self.frames += 1
            border = border or position
        self._rest = position - size
        return border if 0 < border <= size else None

    def _single_frame(self, data: bytes, start: i64, size: i64) -> i64:
        """Return the length of the frame at `start` if it is a whole message of up to 64 KB.

        Nearly all frames are. 0 for all other frames, and for wrong ones: `_frame` checks those
        step by step. Here are not integers but machine words, which cost the compiled code least.
        """
        if self._fragments or start + 3 >= size or not self._single[data[start]]:
            return 0
        length: i64 = data[start + 1] ^ self._mask
        header: i64 = self._header
        if length == _TWO_OCTETS:
            length = data[start + 2] << 8 | data[start + 3]
            header += 2
            if length <= _SHORT:
                return 0
        elif length > _SHORT:
            return 0
        if length > self._most:
            return 0
        return header + length

    def _end_of_begun(self, data: bytes) -> int | None:
        """Return where the frame ends whose header came in part; None if that is not known yet.

        The end may lie behind `data`.
        """
        begun = self._kept + data[:_KEPT]
        try:
            length = self._frame(begun, 0)
        except WebSocketViolation as violation:
            raise WebSocketViolation(violation.close_code, violation.reason, None) from None
        if not length:
            self._kept = begun
            return None
        end = length - len(self._kept)
        self._kept = b""
        self.frames += 1
        return end

    def _frame(self, data: bytes, start: int) -> int:
        """Judge the frame at `start` and return its length; 0 if that needs more of the frame."""
        if len(data) - start < 2:
            return 0
        first = data[start]
        second = data[start + 1]
        fault = self._faults[first]
        if fault is not None:
            raise _protocol_error(fault, start)
        # RFC 6455 5.1: a client masks every frame, a server none.
        if second & _MASK != self._mask:
            raise _protocol_error("wrong masking", start)
        if first & _CONTROL:
            return self._control_frame(data, start, second & ~_MASK)
        length = second & ~_MASK
        octets = 0
        if length > _SHORT:
            length, octets = _extended_length(data, start, length)
            if not octets:
                return 0
        self._count(first, length, start)
        return self._header + octets + length

    def _count(self, first: int, length: int, start: int) -> None:
        """Add a frame to its message (RFC 6455 5.4)."""
        is_continuation = first & _OPCODE == _CONTINUATION
        if is_continuation and not self._fragments:
            raise _protocol_error("continuation of no message", start)
        if not is_continuation and self._fragments:
            raise _protocol_error("message inside of another", start)
        self._fragments += 1
        self._message_bytes += length
        if self._message_bytes > self._limits.message_bytes:
            raise WebSocketViolation(CloseCode.MESSAGE_TOO_BIG, "message too big", start)
        if self._fragments > self._limits.fragments + self._message_bytes // _FRAGMENT_BYTES:
            raise WebSocketViolation(CloseCode.MESSAGE_TOO_BIG, "message in too many fragments", start)
        if first & _FIN:
            self.messages += 1
            self._fragments = 0
            self._message_bytes = 0

    def _control_frame(self, data: bytes, start: int, length: int) -> int:
        """Judge a control frame (RFC 6455 5.5); a close frame has to be complete."""
        if length > _SHORT:
            raise _protocol_error("control frame too long", start)
        end = start + self._header + length
        if data[start] & _OPCODE == _CLOSE:
            # RFC 6455 5.5.1: a body begins with a code of two octets.
            if length == 1:
                raise _protocol_error("close frame with half a code", start)
            if end > len(data):
                return 0
            self._close(data[start + 2 : end])
        return end - start

    def _close(self, mask_and_payload: bytes) -> None:
        self.close_sent = True
        self._single = _NONE
        key = mask_and_payload[: self._header - 2]
        payload = mask_and_payload[self._header - 2 :]
        if payload:
            self.close_code = int.from_bytes(masked(payload[:2], key) if key else payload[:2], "big")


def _extended_length(data: bytes, start: int, announced: int) -> tuple[int, int]:
    """Return the length of the payload, and how many octets announce it; 0 and 0 if some miss."""
    octets, least = _EXTENDED[announced]
    if len(data) < start + 2 + octets:
        return 0, 0
    length = int.from_bytes(data[start + 2 : start + 2 + octets], "big")
    # RFC 6455 5.2: in as few octets as possible, and the most significant bit of 64 is 0.
    if length < least or length >> 63:
        raise _protocol_error("invalid length of a frame", start)
    return length, octets


def close_frame(code: CloseCode, reason: str, mask_key: bytes | None) -> bytes:
    """Write a close frame (RFC 6455 5.5.1), with as much of the reason as fits.

    A frame to a server must be masked by four unpredictable octets (5.3). A frame to a client must
    not be masked: `mask_key` is None.
    """
    payload = code.to_bytes(2, "big") + reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
    if mask_key is None:
        return bytes((_FIN | _CLOSE, len(payload))) + payload
    return bytes((_FIN | _CLOSE, _MASK | len(payload))) + mask_key + masked(payload, mask_key)


def masked(payload: bytes, key: bytes) -> bytes:
    """Apply a mask, or undo it (RFC 6455 5.3)."""
    size = len(payload)
    pattern = (key * (size // _MASK_KEY + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def _protocol_error(reason: str, border: int) -> WebSocketViolation:
    return WebSocketViolation(CloseCode.PROTOCOL_ERROR, reason, border)


def _fault(first: int, extensions: Extensions) -> str | None:
    """Say what is wrong with the first octet of a frame, apart from its context (RFC 6455 5.2)."""
    if first & _RSV and extensions is Extensions.NONE:
        return "reserved bit without an extension"
    if first & _OPCODE not in _OPCODES:
        return "unknown opcode"
    if first & _CONTROL and not first & _FIN:
        return "control frame in fragments"
    return None


_FAULTS: Final = {extensions: tuple(_fault(first, extensions) for first in range(256)) for extensions in Extensions}
# For each first octet: whether it begins a message in one piece.
_SINGLE: Final = {
    extensions: bytes(
        not fault and bool(first & _FIN) and first & _OPCODE in {_TEXT, _BINARY} for first, fault in enumerate(faults)
    )
    for extensions, faults in _FAULTS.items()
}
_NONE: Final = bytes(256)
