"""Messages that a program of the bench sends one after the other, with values that are new each time (messages.h)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NEW: Final = "#" * 16
"""In a message: a value that is new each time it is sent, in hexadecimal. Shorter ones have at least 8 digits."""
NOW: Final = "Thu, 01 Jan 1970 00:00:00 GMT"
"""In a message: when it is sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """One of those that have a name, which are sent in turn."""

    name: str
    data: bytes
    pause: int = 0
    """Milliseconds before it is sent."""
    held: int = 0
    """Milliseconds for which the upstream waits before it answers, which are not the server's."""


def write(path: Path, messages: Sequence[Message]) -> None:
    """Write a file that the programs read."""
    path.write_bytes(
        b"".join(f"{one.pause} {one.held} {len(one.data)} {one.name}\n".encode() + one.data for one in messages)
    )
