"""What a node says of itself to the others of its fleet. Pure."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from config.values.kinds import NAME
from config.values.problems import printable

_DIGEST: Final = r"[0-9a-f]{64}"
_OFFER: Final = r"[0-9a-f]{16}"
_VERSION: Final = r"[0-9A-Za-z.+-]{1,40}"


@dataclass(frozen=True, slots=True)
class SharedRow:
    """A content whose JSON has what its fields have."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LogEnd:
    """How the audit log of a node ends: its id, the number of its last line, and the hash of that.

    `told` is the last line of which the node has told before, as its log has it now: number and
    hash, which is empty if that line is gone. The hashes of all lines are a chain, so a log with
    the same line has the same lines before it.
    """

    log: str
    sequence: int
    hash: str
    told: tuple[int, str]

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "LogEnd":
        """Raises `ValueError`, `KeyError` or `TypeError`."""
        sequence, known = content["told"]
        return cls(
            _text(content["log"], r"[0-9a-f]{32}"),
            int(content["sequence"]),
            _text(content["hash"], _DIGEST),
            (int(sequence), _text(known, f"({_DIGEST})?")),
        )

    def break_after(self, before: "LogEnd") -> str | None:
        """Why this cannot be what became of the log that ended as `before`; None if it can."""
        if self.log != before.log:
            return f"another log took the place of {before.log}, which had {before.sequence} lines"
        if self.sequence < before.sequence:
            return f"it has {self.sequence} lines, and had {before.sequence}"
        for number, found in (self.told, (self.sequence, self.hash)):
            if number == before.sequence and found != before.hash:
                return f"its line {number} is another one than before"
        return None


@dataclass(frozen=True, slots=True)
class NodeFacts(SharedRow):
    """`version` of Plexigate, and the `schema` in which the node can write. `configuration` is the
    digest of what it serves by (`config.fleet_digest`). `audit` is None without an audit log. `at`
    is when it said so, in UNIX seconds.
    """

    version: str
    schema: int
    configuration: str
    audit: LogEnd | None = None
    at: float = 0.0

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "NodeFacts":
        """Raises `ValueError`, `KeyError` or `TypeError`. Leaves out what a newer version adds."""
        audit = content["audit"]
        return cls(
            _text(content["version"], _VERSION),
            int(content["schema"]),
            _text(content["configuration"], _DIGEST),
            None if audit is None else LogEnd.parse(audit),
            float(content["at"]),
        )


class ReloadPhase(StrEnum):
    """How far a reload of the fleet is."""

    CHECK = "check"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class ReloadOffer(SharedRow):
    """A reload of all nodes: by which `node`, to a configuration with this `digest`."""

    id: str
    node: str
    digest: str
    phase: ReloadPhase

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "ReloadOffer":
        """Raises `ValueError`, `KeyError` or `TypeError`."""
        return cls(
            _text(content["id"], _OFFER),
            _text(content["node"], NAME),
            _text(content["digest"], _DIGEST),
            ReloadPhase(content["phase"]),
        )


@dataclass(frozen=True, slots=True)
class ReloadAnswer(SharedRow):
    """What a node says to a phase of an offer: None, or why it cannot."""

    offer: str
    phase: ReloadPhase
    fault: str | None

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "ReloadAnswer":
        """Raises `ValueError`, `KeyError` or `TypeError`."""
        fault = content["fault"]
        return cls(
            _text(content["offer"], _OFFER),
            ReloadPhase(content["phase"]),
            None if fault is None else printable(str(fault)),
        )


def _text(value: Any, allowed: str) -> str:
    # it may be shown on a terminal
    if not isinstance(value, str) or not re.fullmatch(allowed, value):
        raise ValueError
    return value
