"""What the recorder is told to answer: raw bytes, when, and what becomes of the connection."""

import base64
import hashlib
from dataclasses import dataclass
from enum import Enum, auto

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Moment(Enum):
    """When an answer is given."""

    HEAD = auto()
    """As soon as the head of the request is there."""
    COMPLETE = auto()


class Then(Enum):
    """What happens to the connection behind an answer."""

    KEEP = auto()
    END = auto()
    """End our direction, continue reading."""
    RESET = auto()
    SWITCH = auto()
    """What follows from the proxy are WebSocket frames."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Raw bytes; `{accept}` in them becomes the Sec-WebSocket-Accept for the request."""

    data: bytes
    at: Moment = Moment.COMPLETE
    then: Then = Then.KEEP
    in_octets: bool = False
    """Send each octet when the proxy has read the one before."""


SWITCHING = Answer(
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
    then=Then.SWITCH,
)


def accept_for(key: str) -> bytes:
    """The Sec-WebSocket-Accept for a key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
