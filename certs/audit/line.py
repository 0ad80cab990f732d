"""One line of an audit log: JSON in one canonical form, bound to the line before it by a hash.

`hash` is SHA-256 (FIPS 180-4) over the 32 bytes of `prev`, which is the hash of the line before,
and the canonical JSON of the line without `hash`. Canonical is what `json.dumps` writes with sorted
keys, no white space and ASCII only (the same as RFC 8785 for text and whole numbers, except for
characters beyond ASCII): a line has exactly one spelling, so every changed byte shows.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

LARGEST_LINE: Final = 16_384
"""Bytes of a line with its newline; a checkpoint signed by ML-DSA-87 has 6.5 KB."""

NO_HASH: Final = bytes(32)
"""The `prev` of the first line of a log."""

Facts = Mapping[str, str | int]
"""What a line of some kind says, besides what every line has."""

_FRAME: Final = ("hash", "kind", "prev", "seq", "time")
_HASH = re.compile(r"[0-9a-f]{64}")
_LARGEST_NUMBER: Final = 2**53 - 1  # what every reader of JSON keeps exactly (RFC 8259 6)


class LineKind(StrEnum):
    GENESIS = "genesis"
    """The first line of a log: its random `log` id."""
    CONTINUED = "continued"
    """The first line of a log's next file; its `prev` and `seq` name the end of the one before."""
    OPERATION = "operation"
    HANDSHAKES = "handshakes"
    CHECKPOINT = "checkpoint"
    TORN = "torn"
    """A crash left `bytes` between the last whole line and this one; `sha256` is their hash."""


class NotALine(Exception):
    """Bytes that are no line of an audit log; `reason` is a clause that follows "which"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"which {self.reason}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was read or will be written.

    `seq` counts the lines of a log from 1, over all of its files. `time` is UTC in ISO 8601. `hash`
    is what the line says of itself: whether that is true is `is_intact`.
    """

    kind: LineKind
    seq: int
    prev: bytes
    time: str
    facts: Facts
    hash: bytes

    @classmethod
    def after(cls, prev: bytes, seq: int, kind: LineKind, facts: Facts, now: datetime) -> "Line":
        """The line behind the one with the hash `prev`; raises `ValueError` if it is too long."""
        time = now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = cls(kind, seq, prev, time, dict(facts), b"")
        line = cls(kind, seq, prev, time, line.facts, line.true_hash)
        if len(line.encode()) > LARGEST_LINE:
            raise ValueError(f"a line of more than {LARGEST_LINE:_} bytes")
        return line

    @classmethod
    def parse(cls, raw: bytes) -> "Line":
        """Read a line without its newline; raises `NotALine`. Does not judge the hash."""
        document = _document(raw)
        line = cls(
            LineKind(_text(document, "kind", among=tuple(LineKind))),
            _number(document, "seq"),
            _digest(document, "prev"),
            _text(document, "time"),
            {key: value for key, value in document.items() if key not in _FRAME},
            _digest(document, "hash"),
        )
        if line.encode() != raw + b"\n":
            raise NotALine("is not written in the canonical form")
        return line

    @property
    def true_hash(self) -> bytes:
        return hashlib.sha256(self.prev + _canonical(self._body)).digest()

    @property
    def is_intact(self) -> bool:
        """Whether the line says what it said when it was written."""
        return self.hash == self.true_hash

    def encode(self) -> bytes:
        """The bytes of the line with its newline."""
        return _canonical({**self._body, "hash": self.hash.hex()}) + b"\n"

    @property
    def _body(self) -> dict[str, str | int]:
        return {**self.facts, "kind": self.kind, "prev": self.prev.hex(), "seq": self.seq, "time": self.time}


def _canonical(document: Mapping[str, str | int]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _document(raw: bytes) -> dict[str, str | int]:
    if len(raw) >= LARGEST_LINE:
        raise NotALine(f"has more than {LARGEST_LINE:_} bytes")
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError):  # ValueError: no JSON, no UTF-8, a number of thousands of digits
        raise NotALine("is not JSON") from None
    if not isinstance(document, dict):
        raise NotALine("is not JSON object")
    for key, value in document.items():
        if type(value) not in (str, int) or (isinstance(value, int) and abs(value) > _LARGEST_NUMBER):
            raise NotALine(f'has "{_shown(key)}" that is neither text nor a whole number')
    return document


def _text(document: Facts, key: str, among: tuple[str, ...] = ()) -> str:
    value = document.get(key)
    if not isinstance(value, str) or (among and value not in among):
        raise NotALine(f'has no "{key}" of an audit log')
    return value


def _number(document: Facts, key: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or value < 1:
        raise NotALine(f'has no "{key}" of an audit log')
    return value


def _digest(document: Facts, key: str) -> bytes:
    value = _text(document, key)
    if not _HASH.fullmatch(value):
        raise NotALine(f'has no "{key}" of an audit log')
    return bytes.fromhex(value)


def _shown(key: str) -> str:
    # a file must not be able to move the cursor of the terminal it is reported on
    return key[:40].encode("unicode_escape").decode("ascii")
