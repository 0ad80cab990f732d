"""Build the rules for requests: routes and limits."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from config.route_conditions import ANY_VALUE, specificity, with_head
from config.schema import PAGE_UPSTREAM, Config, LimitsConfig, RatePer, RouteConfig
from proxy.auth.grant import Grant
from proxy.auth.rules import Rule
from proxy.building.auth import withheld_fields
from proxy.building.error_pages import PagesOfAll
from proxy.building.fields import field_edits
from proxy.building.page import sign_in_routes
from proxy.building.paths import path_change
from proxy.building.payload import PayloadRules
from proxy.downstream.admission import RouteTarget
from proxy.downstream.endpoint import Endpoint
from proxy.downstream.plain_answers import PlainRules
from proxy.downstream.request_body import BodyLimits
from proxy.downstream.response_buffer import BufferLimits
from proxy.downstream.service import HttpLimits
from proxy.downstream.token_check import PAGE_GRANT
from proxy.http.chunked import ChunkLimits
from proxy.http.head import HeadLimits
from proxy.http.routing import Route, RouteTable
from proxy.http.websocket import WebSocketLimits
from proxy.http2.limits import SessionLimits
from proxy.limits.requests import RequestRate
from proxy.routes.access import Access
from proxy.routes.conditions import Alternatives, Conditions, Wanted
from proxy.routes.field_edits import FieldDefault
from proxy.routes.security_fields import security_defaults


@dataclass(frozen=True, slots=True)
class RouteParts:
    """What routes are made of beside their own table; a route is named as in the log."""

    payload: PayloadRules
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """Those of the routes without a server."""
    pages: PagesOfAll = field(default_factory=PagesOfAll)
    auth: Mapping[str, Rule] = field(default_factory=dict)
    """The rules of those that not everyone may use."""
    trusted: Container[str] = frozenset()
    """The hosts whose certificates every browser trusts."""


def route_table(config: Config, parts: RouteParts) -> RouteTable[RouteTarget]:
    """Build all routes."""
    places: dict[tuple[str, str], list[RouteConfig]] = {}
    for route in config.route:
        places.setdefault((route.host, route.path), []).append(route)
    withheld = withheld_fields(config, parts.auth)
    routes = [Route(host, path, _place(here, config.limits, parts, withheld)) for (host, path), here in places.items()]
    forms = [form for route in routes for form in sign_in_routes(route)]
    return RouteTable([*routes, *forms, *parts.payload.endpoints(config)])


def _place(
    routes: list[RouteConfig], limits: LimitsConfig, parts: RouteParts, withheld: Mapping[str, Grant]
) -> RouteTarget:
    """What stands at a host and a path: a route, or several with conditions."""
    routes = sorted(routes, key=specificity, reverse=True)
    targets = [_target(route, limits, parts, withheld.get(route.upstream or "")) for route in routes]
    if not routes[0].conditions:
        return targets[0]
    alternatives = Alternatives(list(zip(map(_conditions, routes), targets, strict=True)))
    return RouteTarget(
        f"{routes[0].host}{routes[0].path}", "", requires_pq=False, body_bytes=0, alternatives=alternatives
    )


def _conditions(route: RouteConfig) -> Conditions:
    methods = frozenset(method.encode() for method in with_head(route.methods or ()))
    return Conditions(methods, _wanted(route.headers or {}), _wanted(route.query or {}))


def _wanted(conditions: Mapping[str, str]) -> tuple[Wanted, ...]:
    return tuple((name.encode(), None if value == ANY_VALUE else value.encode()) for name, value in conditions.items())


def _target(route: RouteConfig, limits: LimitsConfig, parts: RouteParts, withheld: Grant | None) -> RouteTarget:
    body_bytes = limits.body_bytes if route.body_bytes is None else route.body_bytes
    name = route.entry_name
    if route.admin_page is not None:
        body_bytes, withheld = 0, PAGE_GRANT
    return RouteTarget(
        name,
        PAGE_UPSTREAM if route.admin_page is not None else route.upstream or "",
        requires_pq=route.pq is not None,
        body_bytes=body_bytes,
        rate=_request_rate(route),
        payload=parts.payload.route(route),
        endpoint=parts.endpoints.get(name),
        requires_certificate=route.client_certificate is not None,
        streams_requests=route.stream_requests,
        error_pages=parts.pages.of_route(name),
        access=Access(route.allow, route.deny) if route.allow or route.deny else None,
        auth=parts.auth.get(route.entry_name),
        withheld=withheld,
        path_change=path_change(route),
        request_fields=field_edits(route.request_headers),
        response_fields=field_edits(route.response_headers, _security(route, parts.trusted)),
    )


def _security(route: RouteConfig, trusted: Container[str]) -> tuple[FieldDefault, ...]:
    if not route.security_headers:
        return ()
    return security_defaults(hsts=route.host in trusted if route.hsts is None else route.hsts)


def _request_rate(route: RouteConfig) -> RequestRate | None:
    rate = route.rate
    if rate is None:
        return None
    return RequestRate.of(
        route.entry_name,
        rate.requests_per_second,
        rate.burst,
        is_per_client=rate.per is RatePer.CLIENT,
    )


def plain_rules(config: Config) -> PlainRules:
    """The names that the listener without TLS redirects to https.

    They are the names of all identities, also of those without a certificate so far.
    """
    names = frozenset(name for identity in config.identity.values() for name in identity.names)
    return PlainRules(names, config.plain_listener.https_port)


def chunk_limits(limits: LimitsConfig) -> ChunkLimits:
    """The limits for chunked bodies of requests and responses."""
    return ChunkLimits(limits.chunk_line_bytes, limits.chunk_overhead_bytes, limits.trailer_bytes, limits.trailer_count)


def http_limits(limits: LimitsConfig) -> HttpLimits:
    """The limits for the size and the time of what clients send."""
    return HttpLimits(
        head_bytes=limits.head_bytes,
        head=HeadLimits(limits.target_bytes, limits.header_count, limits.header_bytes),
        bodies=BodyLimits(chunk_limits(limits), limits.request_buffer_bytes),
        pipelined_bytes=limits.pipelined_bytes,
        head_seconds=limits.head_seconds,
        keep_alive_seconds=limits.keep_alive_seconds,
        body_idle_seconds=limits.body_idle_seconds,
        write_idle_seconds=limits.write_idle_seconds,
        body_bytes_per_second=limits.body_bytes_per_second,
        response_bytes_per_second=limits.response_bytes_per_second,
        response_buffer=BufferLimits(
            limits.response_buffer_bytes, limits.response_buffer_total_bytes, limits.spool_bytes
        ),
        websocket=WebSocketLimits(limits.websocket_message_bytes, limits.websocket_fragments),
        websocket_idle_seconds=limits.websocket_idle_seconds,
        websocket_close_seconds=limits.websocket_close_seconds,
        http2=_session_limits(limits),
    )


def _session_limits(limits: LimitsConfig) -> SessionLimits:
    """The limits of a head are those of HTTP/1.1."""
    return SessionLimits(
        streams=limits.http2_streams,
        stream_window_bytes=limits.http2_stream_window_bytes,
        stream_window_most_bytes=limits.http2_stream_window_most_bytes,
        connection_window_bytes=limits.http2_connection_window_bytes,
        resets=limits.http2_resets,
        resets_per_second=limits.http2_resets_per_second,
        control_frames=limits.http2_control_frames,
        control_frames_per_second=limits.http2_control_frames_per_second,
        settings_seconds=limits.http2_settings_seconds,
        header_list_bytes=limits.head_bytes,
        header_count=limits.header_count,
        header_bytes=limits.header_bytes,
    )
