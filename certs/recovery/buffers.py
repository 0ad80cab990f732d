"""Secrets in memory that can be overwritten.

Python copies `bytes` as it likes and never overwrites them. What is made here is a `bytearray` from
the start and can be wiped; what a library makes of it in between cannot. Therefore the whole
process is short-lived, locked in memory and never dumped (`hardening`).
"""

from pathlib import Path
from typing import Final

_RANDOM: Final = Path("/dev/urandom")


def random_buffer(length: int) -> bytearray:
    """Random bytes that were never in an object that cannot be overwritten; raises `OSError`."""
    buffer = bytearray(length)
    with _RANDOM.open("rb", buffering=0) as source:
        if source.readinto(buffer) != length:
            raise OSError(f"{_RANDOM} gave less than {length} bytes")
    return buffer


def wipe(buffer: bytearray) -> None:
    """Overwrite a buffer with zeros, in place."""
    buffer[:] = bytes(len(buffer))
