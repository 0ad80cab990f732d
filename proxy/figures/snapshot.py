"""What a worker has counted: families of rows, which the parent gets as JSON. Pure.

A row has labels (text) and numbers. `observe.counts.merging` adds up the rows of all workers that
have the same labels, in any family. A family is missing before the first answer of a worker, and in
the counts of another version.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypeAlias, TypedDict, cast


class Summary(TypedDict):
    """The most frequent keys, see `HeavyHitters`. An entry has a key, its count and its error."""

    capacity: int
    total: int
    entries: list[list[Any]]


class Recent(Summary):
    """A summary of the time until its latest addition, in UNIX seconds."""

    until: float


class Summaries(TypedDict):
    """The clients that `require` would refuse, by name, by network and by kind."""

    names: Summary
    networks: Summary
    agents: Summary


class HistogramRow(TypedDict):
    """The buckets of a histogram and the sum of its values, with the label of its family."""

    listener: NotRequired[str]
    identity: NotRequired[str]
    protocol: NotRequired[str]
    route: NotRequired[str]
    token: NotRequired[str]
    server: NotRequired[str]
    counts: list[int]
    sum: float


class HandshakeRow(TypedDict):
    listener: str
    identity: str
    outcome: str
    group: str
    version: str
    resumed: str
    """true or false."""
    count: int


class FailureRow(TypedDict):
    """Connections and requests of a listener that failed for a reason."""

    listener: str
    reason: str
    count: int


class ConnectionRow(TypedDict):
    listener: str
    accepted: int
    open: int


class ListenerRequestRow(TypedDict):
    listener: str
    status: str
    count: int


class ProtocolRequestRow(TypedDict):
    """Requests of a listener with a version of HTTP."""

    listener: str
    protocol: str
    count: int


class Http2Counts(TypedDict):
    """Connections of HTTP/2 of a listener."""

    listener: str
    connections: int
    open: int
    streams_open: int


class Http3Counts(TypedDict):
    """Connections of HTTP/3 of a listener."""

    listener: str
    connections: int
    open: int


class ResetRow(TypedDict):
    """Streams of HTTP/2 that were reset for a cause."""

    listener: str
    cause: str
    count: int


class RelayCounts(TypedDict):
    """Connections of a listener that were relayed without being read."""

    listener: str
    kind: str
    connections: int
    open: int


class RelayBytesRow(TypedDict):
    """The bytes of such connections in one direction."""

    listener: str
    kind: str
    direction: str
    bytes: int


class RelayEndRow(TypedDict):
    """How many such connections ended for a reason."""

    listener: str
    kind: str
    reason: str
    count: int


class OfferedGroupRow(TypedDict):
    """How many clients of a passthrough offered a group."""

    listener: str
    group: str
    count: int


class RequestRow(TypedDict):
    """Requests of a route with a class of status."""

    route: str
    status: str
    count: int


class BytesRow(TypedDict):
    route: str
    request: int
    response: int


class WebSocketRow(TypedDict):
    route: str
    count: int
    open: int


class WebSocketTrafficRow(TypedDict):
    route: str
    direction: str
    messages: int
    bytes: int


# "class" is not a name for an attribute.
WebSocketCloseRow = TypedDict("WebSocketCloseRow", {"route": str, "class": str, "by": str, "count": int})
"""How many of them were closed with a class of code, and by whom."""


class PayloadMessagesRow(TypedDict):
    """Messages of a route that were decrypted and encrypted under a ring."""

    route: str
    ring: str
    opened: int
    sealed: int


class PayloadRefusalRow(TypedDict):
    """Messages of a route that payload encryption refused."""

    route: str
    cause: str
    count: int


class TokenCountsRow(TypedDict):
    """What happened with a token, see `TokenCounters`."""

    token: str
    errors: int
    failovers: int
    hedges: int
    hedges_won: int
    refusals: int
    probes: int
    probes_failed: int


class KeySignaturesRow(TypedDict):
    """How often a key signed, and how often it failed to."""

    key: str
    done: int
    failed: int


class TokenFiguresRow(TypedDict):
    token: str
    queued: int
    running: int
    lost: int
    sessions: int
    threads: int


class TokenStateRow(TypedDict):
    """The state of a token: a `BreakerState`."""

    token: str
    state: str
    count: int


class TokenGoodRow(TypedDict):
    """How many seconds ago a token signed well."""

    token: str
    youngest: float


class LogRow(TypedDict):
    """Lines that were lost, and failed attempts to write them."""

    dropped: int
    errors: int


class CountRow(TypedDict):
    """A count without a label."""

    count: int


class ListenerCountRow(TypedDict):
    listener: str
    count: int


class BufferRow(TypedDict):
    """What waits for slow clients, in bytes, and how often the room was short."""

    held: int
    shortages: int


class ServerTotalsRow(TypedDict):
    """The figures of a server of an upstream that only grow; `retained` counts have them."""

    upstream: str
    server: str
    requests: int
    failures: int
    """Connections that could not be made, and requests without a (whole) response."""
    ejections: int
    wait_seconds: float
    """All waits for a free connection together."""
    http2_requests: int
    """Those of `requests` that came while it spoke HTTP/2."""
    http2_goaways: int
    http2_refused: int
    """See `upstream.pooling.statistics.StreamCounts`."""


class ServerCounts(ServerTotalsRow):
    """What one worker says of a server: its state now, and all figures."""

    state: str
    """A `upstream.pooling.statistics.ServerState`."""
    open: int
    idle: int
    dialling: int
    waiting: int
    websockets: int
    streams_open: int
    """Streams of HTTP/2 that are lent: requests and WebSockets."""


class RelayFamilies(TypedDict, total=False):
    relays: list[RelayCounts]
    relay_bytes: list[RelayBytesRow]
    relay_ends: list[RelayEndRow]
    passthrough_groups: list[OfferedGroupRow]


class HandshakeFamilies(TypedDict, total=False):
    handshakes: list[HandshakeRow]
    failures: list[FailureRow]
    signing_seconds: list[HistogramRow]


class ListenerFamilies(TypedDict, total=False):
    connections: list[ConnectionRow]
    handshake_seconds: list[HistogramRow]
    listener_requests: list[ListenerRequestRow]
    protocol_requests: list[ProtocolRequestRow]
    http2: list[Http2Counts]
    http3: list[Http3Counts]
    http2_resets: list[ResetRow]


class RequestFamilies(TypedDict, total=False):
    requests: list[RequestRow]
    first_byte_seconds: list[HistogramRow]
    request_seconds: list[HistogramRow]
    bytes: list[BytesRow]
    websockets: list[WebSocketRow]
    websocket_traffic: list[WebSocketTrafficRow]
    websocket_closes: list[WebSocketCloseRow]
    payload_messages: list[PayloadMessagesRow]
    payload_refusals: list[PayloadRefusalRow]


class TokenFamilies(TypedDict, total=False):
    """The families of what is going on with tokens. They end with their worker."""

    token_figures: list[TokenFiguresRow]
    token_states: list[TokenStateRow]
    token_good: list[TokenGoodRow]


class BufferFamilies(TypedDict, total=False):
    """The families of what waits for slow clients."""

    response_buffer: list[BufferRow]
    spool: list[BufferRow]


class CountedFamilies(HandshakeFamilies, ListenerFamilies, RelayFamilies, RequestFamilies, total=False):
    protocol_seconds: list[HistogramRow]
    tokens: list[TokenCountsRow]
    key_signatures: list[KeySignaturesRow]
    token_signing_seconds: list[HistogramRow]
    token_wait_seconds: list[HistogramRow]
    loop_lag: list[HistogramRow]
    log: list[LogRow]
    swaps: list[CountRow]
    breaking: dict[str, dict[str, Summaries]]
    """By day and listener."""
    busiest: Recent
    server_seconds: list[HistogramRow]
    breaking_connections: list[ListenerCountRow]


class Snapshot(CountedFamilies, BufferFamilies, TokenFamilies, total=False):
    pass


class Counts(Snapshot, total=False):
    """The counts of several workers, see `merging`."""

    servers: list[ServerTotalsRow]
    """Of workers that ended."""


Row: TypeAlias = Mapping[str, Any]
"""A row of some family."""
Rows: TypeAlias = Sequence[Row]


def rows_of(snapshot: Snapshot, family: str) -> Rows:
    """The rows of a family that only its name tells. Empty if the snapshot does not have it."""
    return cast("Mapping[str, Rows]", snapshot).get(family, ())
