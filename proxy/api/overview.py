"""What the page shows: sections, so that only those go out that have changed. Pure.

Times are in UNIX seconds.
"""

from typing import Generic, NotRequired, TypedDict, TypeVar

from proxy.api.status import (
    AlertRow,
    BreakingAgentRow,
    BreakingNetworkRow,
    HandshakesRow,
    MaintenanceRow,
    ReadinessDocument,
    WorkerRow,
)

Row = TypeVar("Row")


class ShownTable(TypedDict, Generic[Row]):
    """The first rows, and how many more there are."""

    rows: list[Row]
    more: int


class ProxySection(TypedDict):
    now: float
    version: str
    hot_path: str
    started_at: float
    configured_at: float
    generation: int
    reloads: dict[str, int]
    restarts: int


class ReadinessSection(ReadinessDocument):
    """Whether the proxy is ready, also in one sentence."""

    sentence: str


class CredentialRow(TypedDict):
    """A credential, whether it rotates or not."""

    identity: str
    credential: str
    names: list[str]
    issuer: str | None
    place: str
    begins_at: float | None
    expires_at: float | None
    next_at: float | None
    urgency: str | None
    error: str | None


class TokenSummary(TypedDict):
    """A token, with the sums of all workers."""

    token: str
    condition: str
    detail: str
    sessions: int
    session_limit: int
    last_good_seconds: float | None
    missing_keys: list[str]
    states: list[str]
    queued: int
    signing: int
    lost: int


class LatencySummary(TypedDict):
    """In seconds. None without a request."""

    p50: float | None
    p99: float | None


class ServerSummary(TypedDict):
    upstream: str
    server: str
    states: dict[str, int]
    open: int
    idle: int
    waiting: int
    requests: int
    failures: int
    websockets: int
    p50: float | None
    p99: float | None


class ListenerSummary(TypedDict):
    name: str
    addresses: list[str]
    pq: str
    groups: str
    connections_open: int
    connections_accepted: int
    hybrid_share: float | None


class RouteSummary(TypedDict):
    """The latest requests of a route by class of status, and `total` since the start."""

    route: str
    requests: dict[str, int]
    total: dict[str, int]
    p50: float | None
    p99: float | None
    websockets: int


class RoutesSection(TypedDict):
    """The routes with `most` requests in the latest `seconds`; None: since the start."""

    seconds: float | None
    most: int
    routes: list[RouteSummary]


class RefusalRow(TypedDict):
    """A listener refused `count` times for a reason, until `at`."""

    at: float
    listener: str
    reason: str
    area: str
    """tls, limits, http, server or client."""
    count: int


class ClassicalSection(TypedDict):
    """The clients that `pq = "require"` would refuse."""

    connections: int
    networks: list[BreakingNetworkRow]
    user_agents: list[BreakingAgentRow]


class BusyRow(TypedDict):
    """A client and its share of all requests."""

    client: str
    share: float


class WorkerSummary(WorkerRow):
    """A worker, and the processor time that it has used."""

    cpu_seconds: float


class ConfigurationSection(TypedDict):
    """The configuration that is served, and what may be shown of it."""

    file: NotRequired[str]
    sha256: NotRequired[str]
    read_at: NotRequired[float]
    text: str


class BackupSection(TypedDict):
    """The newest backup, None without one."""

    newest_at: float | None
    late: bool


class FleetSection(TypedDict):
    """This node in its fleet. `skew` is in whole seconds; `differing` are nodes with another
    configuration than the leader.
    """

    node: str
    leader: str | None
    members: int
    alive: int
    revision: int
    epoch: int | None
    skew: int | None
    fault: str | None
    differing: list[str]


class Overview(TypedDict):
    proxy: ProxySection
    readiness: ReadinessSection
    alerts: ShownTable[AlertRow]
    handshakes: HandshakesRow
    certificates: ShownTable[CredentialRow]
    tokens: ShownTable[TokenSummary]
    upstreams: ShownTable[ServerSummary]
    listeners: ShownTable[ListenerSummary]
    routes: RoutesSection
    refusals: ShownTable[RefusalRow]
    classical: ClassicalSection
    busiest: list[BusyRow]
    quantum_safe_groups: list[str]
    workers: ShownTable[WorkerSummary]
    maintenance: ShownTable[MaintenanceRow]
    configuration: ConfigurationSection
    backup: BackupSection | None
    fleet: FleetSection | None


class Samples(TypedDict):
    """The samples of the history after a time, as columns. What a sample does not have is None."""

    seconds: float
    length: int
    at: list[float]
    series: dict[str, list[float | None]]
