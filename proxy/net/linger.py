"""How long the end of a connection may take. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Linger:
    """The limits of an end: `flush_seconds` to take what was written; then `discard_bytes` are read
    for `seconds` (RFC 9112 9.6).
    """

    discard_bytes: int
    seconds: float
    flush_seconds: float
