"""What the parent knows about the whole proxy at one moment: the input of the metrics and of the status. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from proxy.observe.readiness import READY, Readiness

Snapshot = Mapping[str, Any]
"""What `Counters.snapshot` answers."""


class WorkerState(StrEnum):
    """What a worker does."""

    SERVING = "serving"
    DRAINING = "draining"
    """It finishes what it has, and another one has its place."""
    SILENT = "silent"
    """It does not answer, and its figures are those that it told last."""


@dataclass(frozen=True, slots=True)
class WorkerScrape:
    """One live worker: `servers` are its `ServerStatistics` as dictionaries, `generation` is the one that it serves by (None: it never told)."""

    slot: int
    pid: int
    age_seconds: float
    generation: int | None
    snapshot: Snapshot
    servers: Sequence[Mapping[str, Any]] = ()
    rss_bytes: int = 0
    state: WorkerState = WorkerState.SERVING

    @property
    def connections(self) -> dict[str, int]:
        """Open connections by listener; none of a worker that has not answered yet."""
        return {row["listener"]: row["open"] for row in self.snapshot.get("connections", ())}


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One credential of an identity; `expires_at` in UNIX seconds, `keys` where its keys are, `fingerprint` SHA-256 of the leaf in hex."""

    identity: str
    algorithm: str
    names: Sequence[str]
    expires_at: float
    keys: Sequence[str] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class TokenScrape:
    """A token as the parent sees it: `condition` of `certs.tokens.prober`, `detail` a sentence where it is not well.

    `sessions` are those of the parent, `max_sessions` may be used by all processes; `errors` count what went wrong by CKR_ name.
    """

    token: str
    condition: str
    detail: str
    sessions: int
    max_sessions: int
    probes: int
    errors: Mapping[str, int]
    seconds_since_good: float | None
    missing_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """URIs of keys that it does not have, or that do not sign, for some worker; with the identities that need them."""


@dataclass(frozen=True, slots=True)
class RotationFacts:
    """One credential that rotates by itself: `urgency` from 0 (calm) to 4 (expired), `failures` in a row."""

    identity: str
    credential: str
    urgency: int
    failures: int


@dataclass(frozen=True, slots=True)
class UnmadeCheck:
    """A server whose health check could not be made, `count` times so far; `reason` of the latest one, None where that was made."""

    upstream: str
    server: str
    count: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """What one listener offers where."""

    name: str
    addresses: Sequence[str]
    pq: str
    groups: str


@dataclass(frozen=True, slots=True)
class Scrape:
    """Everything at one moment; `now` and `started_at` in UNIX seconds.

    `retained` is what workers had counted that are gone (`merging.Retained.snapshot`), `restarts` how often a worker had to be
    started again, `reloads` and `rotations` are counts by result ("ok", "failed"), `generation` numbers the configuration that is
    served, `log_losses` are the lines that the parent itself lost, and its attempts to write or to open the log that failed; `audit`
    counts what became of lines of the audit log (empty: there is none).
    """

    now: float
    started_at: float
    version: str
    generation: int
    workers: Sequence[WorkerScrape]
    listeners: Sequence[ListenerFacts] = ()
    certificates: Sequence[CertificateFacts] = ()
    restarts: int = 0
    reloads: Mapping[str, int] = field(default_factory=dict)
    retained: Snapshot | None = None
    log_losses: tuple[int, int] = (0, 0)
    tokens: Sequence[TokenScrape] = ()
    audit: Mapping[str, int] = field(default_factory=dict)
    rotations: Mapping[str, int] = field(default_factory=dict)
    rotating: Sequence[RotationFacts] = ()
    unmade_checks: Sequence[UnmadeCheck] = ()
    readiness: Readiness = READY
