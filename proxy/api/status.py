"""The answer to `GET /status`, which `plexigate status --json` prints. Pure.

Times are in UNIX seconds, durations in seconds. Counts begin with the parent process, and include
workers that were replaced.
"""

from typing import NotRequired, TypedDict


class ReasonRow(TypedDict):
    """Why something cannot serve. `routes` lead to an upstream."""

    subject: str
    """A `ReadinessSubject`."""
    name: str
    detail: str
    routes: NotRequired[list[str]]


class ReadinessDocument(TypedDict):
    """Whether the proxy is ready: `reasons` keep it from that, `doubts` do not."""

    ready: bool
    reasons: list[ReasonRow]
    doubts: list[ReasonRow]


class AlertRow(TypedDict):
    kind: str
    subject: str
    urgency: str
    since: str
    """In RFC 3339."""
    text: str
    remedy: str
    times: int
    """How many times it was sent to the receivers."""
    over: bool
    """Whether the latest look did not find it. If that stays so, it is resolved soon."""


class ConfigurationRow(TypedDict):
    """The configuration that is served, with the SHA-256 of its file."""

    file: str
    sha256: str
    read_at: float


class UpgradeRow(TypedDict):
    """An upgrade that is in progress. `pid` is the new process."""

    phase: str
    pid: int
    program: str


class WorkerRow(TypedDict):
    """One worker. What is None is not known before its first answer."""

    slot: int
    pid: int
    age_seconds: float
    state: str
    """A `WorkerState`."""
    generation: int | None
    connections: dict[str, int]
    """The open ones, by listener."""
    rss_bytes: int
    loop_lag_p99_seconds: float | None


class HandshakesRow(TypedDict):
    """Handshakes, and the share of the finished ones with a hybrid key exchange."""

    established: int
    hybrid: int
    hybrid_share: float | None
    """Null if there was no handshake."""
    resumed: int
    by_outcome: dict[str, int]
    by_group: dict[str, int]


class Http2Row(TypedDict):
    """The connections of HTTP/2 of a listener."""

    connections: int
    connections_open: int
    streams_open: int
    resets: dict[str, int]
    """By cause."""


class Http3Row(TypedDict):
    """HTTP/3 of a listener: its connections, and the UDP port that clients reach. `fault`: why
    answers do not offer it, None if they do.
    """

    port: int
    fault: str | None
    connections: int
    connections_open: int


class RelayRow(TypedDict):
    """The connections of a listener that are relayed without being read."""

    kind: str
    """tcp or passthrough."""
    connections: int
    connections_open: int
    bytes: dict[str, int]
    """By direction."""
    ends: dict[str, int]
    """By reason."""


class ListenerRow(TypedDict):
    """One listener: what it offers, and what it did."""

    name: str
    addresses: list[str]
    pq: str
    groups: str
    connections_open: int
    connections_accepted: int
    requests: dict[str, int]
    """By class of status."""
    handshakes: HandshakesRow
    failures: dict[str, int]
    """By reason."""
    protocols: dict[str, int]
    """Requests by version of HTTP."""
    http2: Http2Row
    http3: Http3Row | None
    """Only with `http3` in its table, else None."""
    relays: list[RelayRow]


class RouteRow(TypedDict):
    """The requests of one route; `-` are those without a route.

    The latencies are upper bounds: half of the requests, or 99 of 100, were not slower. They are
    None without a request, and 30 also stands for more. WebSockets do not count.
    """

    route: str
    requests: dict[str, int]
    """By class of status."""
    websockets_open: int
    p50_seconds: float | None
    p99_seconds: float | None


class ProtocolRow(TypedDict):
    """The requests of one version of HTTP. The latencies are as in `RouteRow`."""

    protocol: str
    requests: int
    p50_seconds: float | None
    p99_seconds: float | None


class BreakingNameRow(TypedDict):
    """How many connections to a name `require` would refuse; at most `error` too many."""

    name: str
    connections: int
    error: int


class BreakingNetworkRow(TypedDict):
    """The same, from a network."""

    network: str
    connections: int
    error: int


class BreakingAgentRow(TypedDict):
    """The same, of a kind of client."""

    user_agent: str
    connections: int
    error: int


class BreakingRow(TypedDict):
    """The clients that `pq = "require"` would refuse, from the day `since` on.

    Every client with more connections than `error_at_most` is listed.
    """

    since: str | None
    """A day in UTC, None without such a client."""
    connections: int
    error_at_most: int
    names: list[BreakingNameRow]
    networks: list[BreakingNetworkRow]
    user_agents: list[BreakingAgentRow]


class MissingKeyRow(TypedDict):
    """A key that is missing or cannot sign, by its URI, and the identities that need it."""

    key: str
    identities: list[str]


class WorkerTokenRow(TypedDict):
    """A token as a worker sees it."""

    slot: int
    pid: int
    state: str
    """A `BreakerState`."""
    threads: int
    signing: int
    lost: int
    queued: int
    last_good_seconds: float | None


class TokenRow(TypedDict):
    """A token. `last_good_seconds`: the age of the latest good signature."""

    token: str
    parent: str
    """What the parent finds, see `certs.tokens.prober`."""
    detail: str
    pin_refused: bool
    sessions: int
    session_limit: int
    last_good_seconds: float | None
    parent_errors: dict[str, int]
    """Failed probes of the parent, by CKR_ name."""
    missing_keys: list[MissingKeyRow]
    workers: list[WorkerTokenRow]


class ServerRow(TypedDict):
    """A server of an upstream, with the sums over all workers."""

    server: str
    states: dict[str, int]
    """How many workers see it in a state, see `ServerState`."""
    open: int
    idle: int
    dialling: int
    waiting: int
    requests: int
    websockets: int
    failures: int
    """Connections that could not be made, and requests without a (whole) response."""
    ejections: int
    wait_seconds: float
    """All waits for a free connection together."""
    streams_open: int
    http2_requests: int
    http2_goaways: int
    http2_refused: int


class UpstreamRow(TypedDict):
    name: str
    servers: list[ServerRow]


class UnmadeCheckRow(TypedDict):
    """Health checks of a server that could not be made. `reason` is None if the latest was made."""

    upstream: str
    server: str
    count: int
    reason: str | None


class MaintenanceRow(TypedDict):
    """A route that is out of service since then."""

    route: str
    since: float


class BackupRow(TypedDict):
    """The newest backup of this configuration in the directory. None without one."""

    directory: str
    newest_at: float | None
    age_seconds: float | None
    late: bool
    fault: str | None
    """Why none was found."""


class ServedCertificateRow(TypedDict):
    identity: str
    algorithm: str
    signatures: list[str]
    """Those of the certificates of its chain, leaf first."""
    names: list[str]
    tokens: list[str]
    """The NAMEs of the tokens of its keys; none: they are outside tokens."""
    begins_at: float
    expires_at: float
    days_left: float


class RevocationListRow(TypedDict):
    """The list that is the first to expire: of the clients of an identity, or of an issuer."""

    of: str
    name: str
    begins_at: float
    expires_at: float
    fault: str | None
    """Why there is no newer one."""


class SealingRow(TypedDict):
    """The sealing key, and since when it and the key of each purpose below it seal."""

    key: str
    since: float | None
    """Null if it is not known."""
    previous_until: float | None
    """When the sealing key before it opens nothing more."""
    is_previous: bool
    """Whether the configuration names that one."""
    keys_since: dict[str, float]
    error: str | None
    """Why something that is due could not be renewed."""


class WatchedLogRow(TypedDict):
    """A log of `ct.watch`."""

    log: str
    read: int
    size: int
    """Its entries; 0 if it has never answered."""
    fault: str | None


class StatusDocument(TypedDict):
    version: str
    pid: int
    generation: int
    configuration: ConfigurationRow | None
    backup: BackupRow | None
    """Null where `backup.directory` is not set."""
    started_at: float
    uptime_seconds: float
    readiness: ReadinessDocument
    alerts: list[AlertRow]
    reloads: dict[str, int]
    """By result."""
    worker_restarts: int
    upgrade: UpgradeRow | None
    former_workers: list[int]
    """Workers of the process before an upgrade that still drain, by their process ids."""
    workers: list[WorkerRow]
    listeners: list[ListenerRow]
    routes: list[RouteRow]
    protocols: list[ProtocolRow]
    handshakes: HandshakesRow
    failures: dict[str, int]
    breaking_under_require: BreakingRow
    tokens: list[TokenRow]
    upstreams: list[UpstreamRow]
    sealing: SealingRow | None
    """Null if nothing is sealed."""
    unmade_checks: list[UnmadeCheckRow]
    maintenance: list[MaintenanceRow]
    certificates: list[ServedCertificateRow]
    revocation_lists: list[RevocationListRow]
    watched_logs: list[WatchedLogRow]
    metrics: NotRequired[list[str]]
    """The TCP addresses for metrics. The admin server adds them."""
