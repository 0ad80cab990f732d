"""How fast keys have to be, and what was measured: the table of `plexigate hsm test`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TypedDict


class SpeedTarget(StrEnum):
    """An operation that has to keep up with connections."""

    KEY_GENERATION = "key generation (ECDSA P-256)"
    SIGNING_ECDSA = "signing (ECDSA P-256)"
    SIGNING_RSA = "signing (RSA-3072, PSS)"
    SEALING = "AES-256-GCM, 1 KiB"
    ENCAPSULATION = "ML-KEM-1024 encapsulation"
    SIGNING_MLDSA = "ML-DSA-87 signing"
    HYBRID = "hybrid encryption (HPKE, ML-KEM-1024 with P-384)"

    @property
    def most_seconds(self) -> float | None:
        """The median has to be below this; None where nothing was asked for: devices take 1 to 200
        ms for a signature.
        """
        return _MOST_SECONDS.get(self)

    @property
    def least_per_second(self) -> float | None:
        """How many one caller has to get in a second."""
        return _LEAST_PER_SECOND.get(self)


_MOST_SECONDS = {
    SpeedTarget.KEY_GENERATION: 0.100,
    SpeedTarget.SEALING: 0.001,
    SpeedTarget.ENCAPSULATION: 0.005,
    SpeedTarget.SIGNING_MLDSA: 0.010,
    SpeedTarget.HYBRID: 0.015,
}
_LEAST_PER_SECOND = {
    SpeedTarget.KEY_GENERATION: 10.0,
    SpeedTarget.ENCAPSULATION: 200.0,
    SpeedTarget.SIGNING_MLDSA: 100.0,
    SpeedTarget.HYBRID: 50.0,
}


class MeasuringPlace(StrEnum):
    TOKEN = "token"  # noqa: S105 - a hardware token, not a secret
    SOFTWARE = "software"


class MeasuredRow(TypedDict):
    operation: str
    where: str
    why: str
    count: int
    median_ms: float
    p95_ms: float
    per_second: float
    target_ms: float | None
    target_per_second: float | None
    met: bool | None


class CheckRow(TypedDict):
    """One look at an operation."""

    check: str
    right: bool
    found: str


class ReportDocument(TypedDict):
    """What `plexigate hsm test --json` prints."""

    ok: bool
    measured: list[MeasuredRow]
    checks: list[CheckRow]


@dataclass(frozen=True, slots=True)
class Measured:
    """What an operation took, each time, in seconds. `why` says why it was not in the token."""

    target: SpeedTarget
    place: MeasuringPlace
    seconds: tuple[float, ...]
    why: str = ""

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def p95(self) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, len(self.seconds) * 95 // 100)]

    @property
    def per_second(self) -> float:
        """How many one caller got in a second."""
        return len(self.seconds) / sum(self.seconds)

    @property
    def is_met(self) -> bool | None:
        """Whether both parts of the target are met; None where there is none."""
        most = self.target.most_seconds
        least = self.target.least_per_second
        if most is None and least is None:
            return None
        return (most is None or self.median < most) and (least is None or self.per_second > least)

    def as_json(self) -> MeasuredRow:
        """The figures, in milliseconds and per second."""
        most = self.target.most_seconds
        return {
            "operation": self.target.value,
            "where": self.place.value,
            "why": self.why,
            "count": len(self.seconds),
            "median_ms": round(self.median * 1e3, 4),
            "p95_ms": round(self.p95 * 1e3, 4),
            "per_second": round(self.per_second, 1),
            "target_ms": None if most is None else most * 1e3,
            "target_per_second": self.target.least_per_second,
            "met": self.is_met,
        }


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an operation does what it is for: `what` was looked at, and what was `found`."""

    what: str
    is_right: bool
    found: str

    def as_json(self) -> CheckRow:
        return {"check": self.what, "right": self.is_right, "found": self.found}


@dataclass(frozen=True, slots=True)
class MeasuringReport:
    measured: Sequence[Measured]
    checks: Sequence[Check]

    @property
    def is_right(self) -> bool:
        """Whether every check was passed. A target that is missed makes nothing wrong."""
        return all(check.is_right for check in self.checks)

    def as_json(self) -> ReportDocument:
        return {
            "ok": self.is_right,
            "measured": [one.as_json() for one in self.measured],
            "checks": [one.as_json() for one in self.checks],
        }


def size_check(what: str, size: int, expected: int, source: str) -> Check:
    """Whether something has the size in bytes that a standard says."""
    return Check(what, size == expected, f"{size} bytes, {source}: {expected}")
