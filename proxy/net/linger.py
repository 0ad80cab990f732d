"""How long the end of a connection may take. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Linger:
    """The limits of an end.

    The peer has `flush_seconds` to take what was written before. After our FIN at most
    `discard_bytes` of what it still sends are read and discarded, for `seconds` (RFC 9112 section
    9.6).
    """

    discard_bytes: int
    seconds: float
    flush_seconds: float
