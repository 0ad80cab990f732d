"""What is true of this node: what it serves by, and how its audit log ends."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from certs.audit.line import Line, NotALine
from certs.audit.log import files_of
from certs.audit.tail import LogDamaged, open_for_reading, read_tail
from config.fleet_digest import fleet_digest
from proxy.supervisor.membership.kinds.node_facts import LogEnd, NodeFacts
from proxy.supervisor.membership.values import SCHEMAS

_LOOKS: Final = 2
"""A rotation may rename a file between two looks."""


class OwnFacts:
    """Makes the facts of this node. It reads files: call it in a thread."""

    def __init__(self, content: Callable[[], bytes], log: Path | None) -> None:
        """`content` is the configuration that is served, and `log` the audit log."""
        self._content = content
        self._log = log
        self._version = version("plexigate")

    def __call__(self, told: LogEnd | None) -> NodeFacts:
        """`told` is how its audit log ended the last time. Raises `OSError`."""
        audit = None if self._log is None else log_end(self._log, told)
        return NodeFacts(self._version, SCHEMAS.newest, fleet_digest(self._content()), audit)


def log_end(path: Path, told: LogEnd | None) -> LogEnd | None:
    """How an audit log ends. None while it has no line. Raises `OSError`."""
    try:
        with path.open("rb") as file:
            head = read_tail(path, file).head
    except LogDamaged:
        head = None
    if head is None:
        return told
    if told is None:
        return LogEnd(head.log, head.seq, head.hash.hex(), (0, ""))
    if (told.log, told.sequence, told.hash) == (head.log, head.seq, head.hash.hex()):
        return told
    return LogEnd(head.log, head.seq, head.hash.hex(), (told.sequence, _hash_of(path, told.sequence)))


def _hash_of(path: Path, sequence: int) -> str:
    """The hash of a line, in whichever file of the log it is now; empty if it is in none."""
    mark = b'"seq":%d,' % sequence
    for _ in range(_LOOKS):
        for one in sorted(files_of(path), key=lambda one: one != path):
            with open_for_reading(one) as file:
                for raw in file:
                    if mark in raw and (found := _intact(raw, sequence)):
                        return found
    return ""


def _intact(raw: bytes, sequence: int) -> str | None:
    try:
        line = Line.parse(raw.removesuffix(b"\n"))
    except NotALine:
        return None
    return line.hash.hex() if line.seq == sequence and line.is_intact else None
