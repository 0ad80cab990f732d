"""What one configuration says about requests, and about connections that are not HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.relay_rules import RelayRules
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.http.head import HeadLimits
from proxy.http.routing import RouteTable
from proxy.http.websocket.frames import WebSocketLimits
from proxy.http2.wire.limits import SessionLimits
from proxy.routes.error_pages import ErrorPages
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.upstream.servers.upstream import Upstream


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits on what clients may send and how long they may take; seconds and bytes."""

    head_bytes: int
    head: HeadLimits
    bodies: BodyLimits
    pipelined_bytes: int
    head_seconds: float
    keep_alive_seconds: float
    body_idle_seconds: float
    write_idle_seconds: float
    body_bytes_per_second: int
    response_bytes_per_second: int
    response_buffer: BufferLimits
    websocket: WebSocketLimits
    websocket_idle_seconds: float
    websocket_close_seconds: float
    http2: SessionLimits
    http3_unacked_bytes: int
    """What one connection may have sent without an acknowledgement."""


@dataclass(frozen=True, slots=True)
class HttpRuntime:
    """What one configuration says about requests. Each request is judged by the current one."""

    routes: RouteTable[RouteTarget]
    limits: HttpLimits
    logs_query: bool
    """Whether the log has the queries of targets."""
    policies: Mapping[str, HandshakePolicy] = field(default_factory=dict)
    """What each listener demands of the connections on it."""
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    error_pages: ErrorPages | None = None
    """For errors of requests that no route takes."""
    relays: Mapping[str, RelayRules] = field(default_factory=dict)
    """What each listener does with connections that are not read as HTTP."""
    log_fields: tuple[str, ...] = ()
    """Further fields of a line of the log, as the configuration has them."""
    logs_wire_bytes: bool = False
    """Whether a line has the bytes that came and went on the socket."""
    log_samples: Mapping[str, int] = field(default_factory=dict)
    """Of these routes one in N successes is logged."""
    logs_websocket_opens: bool = False
    """Whether the log has a line when a WebSocket opens."""
