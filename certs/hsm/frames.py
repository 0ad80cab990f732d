"""The frames on the pipe to a token process: a length, and a JSON value that may contain bytes."""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

HEADER: Final = struct.Struct("!I")
LARGEST_FRAME: Final = 16 * 1_048_576
"""Bytes of a frame.

The largest values are what is sealed (keyrings, some 100 KiB) and the list of the keys of a token.
"""

Frame: TypeAlias = dict[str, Any]
"""What came over the pipe. The call says what is in it."""
Arguments: TypeAlias = Mapping[str, Any]
"""Of a call, by name."""

_BYTES: Final = "$bytes"


class Garbled(Exception):
    """The received data is not a frame: a module wrote into the pipe, or the process is another
    program.
    """

    def __str__(self) -> str:
        return "the data on the pipe is not a frame"


def pack(value: Any) -> bytes:
    """A frame. Raises ValueError for a value that is too large."""
    payload = json.dumps(value, default=_bytes_as_text, separators=(",", ":")).encode()
    if len(payload) > LARGEST_FRAME:
        raise ValueError(f"{len(payload)} bytes for a token at once; allowed: {LARGEST_FRAME}")
    return HEADER.pack(len(payload)) + payload


def length_of(header: bytes) -> int:
    """How many bytes follow these `HEADER.size` bytes. Raises Garbled."""
    (length,) = HEADER.unpack(header)
    if length > LARGEST_FRAME:
        raise Garbled
    return int(length)


def unpack(payload: bytes) -> Frame:
    """The value of a frame. Raises Garbled."""
    try:
        value = json.loads(payload, object_hook=_text_as_bytes)
    except (ValueError, TypeError, RecursionError):
        raise Garbled from None
    if not isinstance(value, dict):
        raise Garbled
    return value


def _bytes_as_text(value: object) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} in a frame")
    return {_BYTES: b64encode(value).decode()}


def _text_as_bytes(document: Frame) -> Frame | bytes:
    return b64decode(document[_BYTES], validate=True) if document.keys() == {_BYTES} else document
