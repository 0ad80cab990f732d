"""WebSocket frames, seen by a relay (RFC 6455 section 5).

Payloads pass untouched. A tracker beside each direction reads the frame headers only, so that the relay knows where a
frame ends, i.e. where it may put in a close frame of its own, and what to refuse: frames that the peers might understand
differently, and messages without end. Its work does not depend on the size of a payload.

The handshake before the frames is in `upgrade`.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

_FIN: Final = 0x80
_RSV: Final = 0x70
_OPCODE: Final = 0x0F
_MASK: Final = 0x80
_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0x0, 0x1, 0x2, 0x8
_OPCODES: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, 0x9, 0xA})
_CONTROL: Final = 0x8

# RFC 6455 5.2: up to 125 the length stands in the second octet; 126 and 127 announce 2 and 8 octets of it.
_SHORT: Final = 125
_TWO_OCTETS: Final = 126
_MASK_KEY: Final = 4
# The most that is kept of a frame that came in part: a whole close frame, masked.
_KEPT: Final = 2 + _MASK_KEY + _SHORT

# RFC 6455 5.5: a control frame has at most 125 octets of payload; two of them are the code.
_REASON_BYTES: Final = 123


class CloseCode(IntEnum):
    """Why a connection is closed (RFC 6455 7.4.1 and its IANA registry): those that a relay has reason to send."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


class Sender(Enum):
    """Who sent the frames."""

    CLIENT = _MASK
    SERVER = 0


class Extensions(Enum):
    """Whether the handshake agreed on extensions, which may use the reserved bits."""

    NONE = 0
    NEGOTIATED = _RSV


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """How big a message may be, in the form that it is transferred in."""

    message_bytes: int
    fragments: int


class WebSocketViolation(Exception):
    """Frames that are not relayed.

    `close_code` is what the sender is told. `border` is the offset in the data just given up to which all is well, None if
    the offending frame began in earlier data: then no frame can be put in any more.
    """

    def __init__(self, close_code: CloseCode, reason: str, border: int | None) -> None:
        """`reason` is a short fixed text that may stand in a close frame."""
        super().__init__(close_code, reason, border)
        self.close_code = close_code
        self.reason = reason
        self.border = border

    def __str__(self) -> str:
        """One sentence."""
        return f"{self.reason} ({self.close_code.value})"


def close_frame(code: CloseCode, reason: str, mask_key: bytes | None) -> bytes:
    """Write a close frame (RFC 6455 5.5.1). To a server it must be masked, with four octets nobody can foresee (5.3)."""
    payload = code.to_bytes(2, "big") + reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
    first = bytes((_FIN | _CLOSE,))
    if mask_key is None:
        return first + bytes((len(payload),)) + payload
    return first + bytes((_MASK | len(payload),)) + mask_key + _masked(payload, mask_key)


def _masked(payload: bytes, mask_key: bytes) -> bytes:
    """Apply or undo a mask (RFC 6455 5.3)."""
    return bytes(octet ^ mask_key[index % 4] for index, octet in enumerate(payload))
