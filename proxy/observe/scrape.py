"""The state of the whole proxy at one moment, as the parent knows it: the input of metrics and
status. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Final

from proxy.figures.snapshot import Counts, ServerCounts, Snapshot
from proxy.observe.alert import OpenAlert
from proxy.observe.readiness import READY, Readiness


class WorkerState(StrEnum):
    SERVING = "serving"
    DRAINING = "draining"
    """It finishes its connections; another worker has its place."""
    SILENT = "silent"
    """It does not answer. Its figures are the latest that it sent."""


@dataclass(frozen=True, slots=True)
class WorkerScrape:
    """One live worker. `servers` are the statistics of its upstreams; `generation` is None
    until its first answer. `cpu_seconds`: the processor time that it has used."""

    slot: int
    pid: int
    age_seconds: float
    generation: int | None
    snapshot: Snapshot
    servers: Sequence[ServerCounts] = ()
    rss_bytes: int = 0
    state: WorkerState = WorkerState.SERVING
    cpu_seconds: float = 0.0

    @property
    def connections(self) -> dict[str, int]:
        """Open connections by listener; empty until the first answer of the worker."""
        return {row["listener"]: row["open"] for row in self.snapshot.get("connections", ())}


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One credential of an identity. `begins_at` and `expires_at` in UNIX seconds; `keys` are the
    places of its keys; `fingerprint` is SHA-256 of the leaf; `is_issued`: the rotation renews it.
    `signatures` are those of the certificates of its chain, leaf first, such as `mldsa-87`.
    `tokens` are the NAMEs of the tokens of its keys; none: they are outside tokens.
    """

    identity: str
    algorithm: str
    names: Sequence[str]
    expires_at: float
    keys: Sequence[str] = ()
    fingerprint: str = ""
    begins_at: float = 0.0
    is_issued: bool = False
    signatures: Sequence[str] = ()
    tokens: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RevocationFacts:
    """Of the revocation lists by which an identity judges its clients, or of those that an internal
    CA publishes, the first one to expire.

    `name` is that of the identity or of the issuer. `begins_at` and `expires_at` are in UNIX
    seconds, both 0 if there is none. `fault`: why there is no newer one. `is_lenient`: whether
    clients are served without a current list.
    """

    name: str
    begins_at: float
    expires_at: float
    fault: str | None = None
    is_lenient: bool = False


@dataclass(frozen=True, slots=True)
class SealingFacts:
    """The sealing key and the keys below it. Times are in UNIX seconds, None if not known.

    `previous_until`: when the key before it opens nothing more. `is_previous`: the configuration
    names that one. `keys_since`: when the key of each purpose began to seal. `error`: why something
    that is due could not be renewed.
    """

    key: str
    since: float | None = None
    previous_until: float | None = None
    is_previous: bool = False
    keys_since: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """A log of certificates that is read: how many of its entries are. `fault`: why not all are.

    `failing_since`: since when, in UNIX seconds.
    """

    log: str
    read: int
    size: int
    fault: str | None = None
    failing_since: float = 0.0


@dataclass(frozen=True, slots=True)
class UnknownCertificate:
    """A certificate for our names in a log, with a key that is none of ours.

    `serial` is in hexadecimal, `expires_at` in UNIX seconds.
    """

    log: str
    names: Sequence[str]
    issuer: str
    serial: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class TokenScrape:
    """A token as the parent sees it. `condition` is one of `certs.tokens.prober`; `detail` is empty
    if it is healthy.

    `sessions` counts the parent's sessions; `max_sessions` limits those of all processes. `errors`
    counts failed probes by CKR_ name.
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
    """URIs of keys that are missing or cannot sign in at least one worker, with the identities that
    need them."""


@dataclass(frozen=True, slots=True)
class RotationFacts:
    """One credential that the proxy rotates: `urgency` from 0 (calm) to 4 (expired), consecutive
    `failures`.

    `error`: why the latest attempt failed, None without a failure. `is_refused`: the same request
    will fail again. `unrevoked`: why the certificate of a compromised key is still trusted.
    """

    identity: str
    credential: str
    urgency: int
    failures: int
    error: str | None = None
    is_refused: bool = False
    unrevoked: str | None = None


@dataclass(frozen=True, slots=True)
class UnmadeCheck:
    """A server with health checks that could not be made: how many, and the `reason` of the latest;
    None if that one was made."""

    upstream: str
    server: str
    count: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class UpgradeFacts:
    """An upgrade in progress. `phase`: `preparing` or `proving`; `pid` is the new process."""

    phase: str
    pid: int
    program: str


@dataclass(frozen=True, slots=True)
class MaintenanceFacts:
    """A route that is out of service since that moment, in UNIX seconds."""

    route: str
    since: float


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The newest backup of this configuration in a directory: when it was made, in UNIX seconds,
    and the age in seconds that is too old. `newest_at` is None without one; `fault`: why none was
    found."""

    directory: str
    newest_at: float | None
    alert_after: float
    fault: str | None = None

    def age(self, now: float) -> float | None:
        return None if self.newest_at is None else now - self.newest_at

    def is_late(self, now: float) -> bool:
        age = self.age(now)
        return age is None or age > self.alert_after


class FleetFault(Enum):
    """Why a node does not use what its fleet shares."""

    STORE = auto()
    """The store does not answer, or something in it cannot be used."""
    CLOCK = auto()
    RESTORED = auto()
    """The store has lost changes."""


TICKETS_PLANNED: Final = "session ticket keys"
"""What a leader always plans a day ahead."""


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """This node in its fleet. `fault`: why the store cannot be used, of which `kind`.

    `planned`: up to when things are planned without the store, in UNIX seconds; empty if this node
    has not joined. `members` have joined, and `alive` of them are there. `epoch` is the number of
    the key. `skew`: by how many seconds the clock is ahead of that of the store. `others`: nodes
    with another configuration than the leader has, and its digest. `broken_logs`: nodes whose audit
    log did not go on from where it was, with the time and how.
    """

    node: str
    fault: str | None = None
    kind: FleetFault = FleetFault.STORE
    planned: Mapping[str, float] = field(default_factory=dict)
    leader: str | None = None
    is_leading: bool = False
    members: int = 0
    alive: int = 0
    revision: int = 0
    epoch: int | None = None
    skew: float | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    broken_logs: Mapping[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigurationFacts:
    """The configuration that is served: its file, the SHA-256 of its content in hexadecimal, and
    when it was read, in UNIX seconds. `text`: what may be shown of it (`config.displayed`)."""

    file: str
    sha256: str
    read_at: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Http3Facts:
    """HTTP/3 of a listener: the UDP port that clients reach. `fault`: why answers do not offer it,
    None if they do.
    """

    port: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """What one listener offers, and its addresses. `http3` is None without that key."""

    name: str
    addresses: Sequence[str]
    pq: str
    groups: str
    http3: Http3Facts | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """Everything at one moment; `now` and `started_at` in UNIX seconds.

    `retained`: the counts of workers that ended (`merging.Retained.snapshot`). `restarts`: workers
    that had to be replaced. `reloads` and `rotations`: counts by result ("ok", "failed").
    `generation`: number of the served configuration; `configured_at`: when its file began to serve,
    in UNIX seconds. `log_losses`: lines that the parent lost, and its failed attempts to write or
    open the log. `audit`: counts of audit log lines, empty without an audit log.
    `alert_deliveries`: attempts to send an alert, by receiver and result.
    `pid` is that of the parent.
    """

    now: float
    started_at: float
    version: str
    generation: int
    workers: Sequence[WorkerScrape]
    listeners: Sequence[ListenerFacts] = ()
    certificates: Sequence[CertificateFacts] = ()
    revocations: Sequence[RevocationFacts] = ()
    published_lists: Sequence[RevocationFacts] = ()
    watched_logs: Sequence[WatchedLog] = ()
    unknown_certificates: Sequence[UnknownCertificate] = ()
    restarts: int = 0
    reloads: Mapping[str, int] = field(default_factory=dict)
    retained: Counts | None = None
    log_losses: tuple[int, int] = (0, 0)
    tokens: Sequence[TokenScrape] = ()
    audit: Mapping[str, int] = field(default_factory=dict)
    rotations: Mapping[str, int] = field(default_factory=dict)
    rotating: Sequence[RotationFacts] = ()
    sealing: SealingFacts | None = None
    unmade_checks: Sequence[UnmadeCheck] = ()
    maintenance: Sequence[MaintenanceFacts] = ()
    readiness: Readiness = READY
    alerts: Sequence[OpenAlert] = ()
    alert_deliveries: Mapping[tuple[str, str], int] = field(default_factory=dict)
    configuration: ConfigurationFacts | None = None
    backup: BackupFacts | None = None
    fleet: FleetFacts | None = None
    pid: int = 0
    configured_at: float = 0.0
    upgrade: UpgradeFacts | None = None
    former_workers: Sequence[int] = ()
    """Workers of the process before an upgrade that still drain, by their process ids."""

    @property
    def all_lists(self) -> list[tuple[str, RevocationFacts]]:
        """The revocation lists with whose they are."""
        return [("clients", one) for one in self.revocations] + [("issuer", one) for one in self.published_lists]

    @property
    def snapshots(self) -> list[Snapshot]:
        """The counts of all workers, those that have ended included."""
        return [self.retained or {}, *(worker.snapshot for worker in self.workers)]
