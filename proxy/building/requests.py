"""Build what requests are held to: routes and limits."""

from dataclasses import dataclass

from config.schema import LimitsConfig, RouteConfig
from proxy.downstream.service import HttpLimits
from proxy.http.chunked import ChunkLimits
from proxy.http.head import HeadLimits
from proxy.http.websocket import WebSocketLimits


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One `[[route]]`, whose upstream is still a name."""

    host: str
    path: str
    upstream: str
    requires_pq: bool
    body_bytes: int


def route_plan(route: RouteConfig, limits: LimitsConfig) -> RoutePlan:
    """Plan a route."""
    body_bytes = limits.body_bytes if route.body_bytes is None else route.body_bytes
    return RoutePlan(route.host, route.path, route.upstream, route.pq is not None, body_bytes)


def chunk_limits(limits: LimitsConfig) -> ChunkLimits:
    """The limits of chunked bodies, of requests and of responses."""
    return ChunkLimits(limits.chunk_line_bytes, limits.chunk_overhead_bytes, limits.trailer_bytes, limits.trailer_count)


def http_limits(limits: LimitsConfig) -> HttpLimits:
    """What clients may send and how long they may take."""
    return HttpLimits(
        head_bytes=limits.head_bytes,
        head=HeadLimits(limits.target_bytes, limits.header_count, limits.header_bytes),
        chunks=chunk_limits(limits),
        pipelined_bytes=limits.pipelined_bytes,
        head_seconds=limits.head_seconds,
        keep_alive_seconds=limits.keep_alive_seconds,
        body_idle_seconds=limits.body_idle_seconds,
        write_idle_seconds=limits.write_idle_seconds,
        websocket=WebSocketLimits(limits.websocket_message_bytes, limits.websocket_fragments),
        websocket_idle_seconds=limits.websocket_idle_seconds,
        websocket_close_seconds=limits.websocket_close_seconds,
    )
