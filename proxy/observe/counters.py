"""The counters of one process, under labels that no client can invent. Pure.

A label is a name of the configuration (listeners, identities, routes), of the code (reasons,
outcomes) or of OpenSSL (groups that a listener offers). Other values that a client sends are
counted under `-`: invented names cost no memory here, and no series in a monitoring system. The
counters of a route or listener are an object with plain attributes, so a request costs two look-ups
by name and some additions. The parent merges the counts of the workers (`merging`).
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from proxy.figures.histogram import HANDSHAKE_SECONDS, LAG_SECONDS, REQUEST_SECONDS, SIGNING_SECONDS, Histogram
from proxy.limits.reasons import RequestReason, request_reason
from proxy.observe.access_log import RequestRecord
from proxy.observe.breaking import BreakingClients
from proxy.observe.busiest import EVERY, BusiestClients
from proxy.observe.protocol_rows import protocol_requests, protocol_seconds
from proxy.observe.relay_counters import RelayCounters, Traffic, relay_rows
from proxy.payload.causes import Cause
from proxy.payload.uses import MessageCounts
from proxy.signing.token_counters import TokenCounters
from proxy.tls.results import Established

if TYPE_CHECKING:
    from proxy.http.websocket_close import CloseClass, ClosedBy
    from proxy.http2.causes import ResetCause

NOWHERE: Final = "-"
"""The label for requests without a route and handshakes without an identity."""

# As `ClientRecord.protocol` has them.
_HTTP_2: Final = "h2"
# The contexts allow no other version (`tls.context`).
_TLS_VERSION: Final = "TLSv1.3"
# A status has three digits. 501 and 505 for malformed requests are not faults of a server, and are
# not counted as 5xx.
_CLASSES: Final = 10
_MALFORMED: Final = 0
_SERVER_ERRORS: Final = 5
# By the reason in the log line of a request that payload encryption refused.
_CAUSES: Final = {cause.reason: cause for cause in Cause}


def _class_name(hundreds: int) -> str:
    return "malformed" if hundreds == _MALFORMED else f"{hundreds}xx"


class Http2Counters:
    """The HTTP/2 connections of one listener, and the streams on them. Their driver counts."""

    __slots__ = ("connections", "connections_open", "requests", "resets", "streams_open")

    def __init__(self) -> None:
        """All counts are zero."""
        self.connections = 0
        self.connections_open = 0
        self.requests = 0
        """Requests that are over; `Counters.request` counts them."""
        self.resets: Counter[ResetCause] = Counter()
        self.streams_open = 0


class ListenerCounters:
    """The counters of one listener."""

    __slots__ = ("accepted", "handshake_seconds", "http2", "open", "passthrough", "statuses", "tcp")

    def __init__(self) -> None:
        """All counts are zero."""
        self.accepted = 0
        """Accepted connections. Connections over a limit count as failures."""
        self.open = 0
        self.statuses = [0] * _CLASSES
        """Requests by the first digit of their status."""
        self.handshake_seconds = Histogram(HANDSHAKE_SECONDS)
        self.http2 = Http2Counters()
        self.tcp = RelayCounters()
        self.passthrough = RelayCounters()


class RouteCounters:
    """The counters of one route."""

    __slots__ = (
        "closes",
        "first_byte_seconds",
        "from_client",
        "payload_messages",
        "payload_refusals",
        "request_bytes",
        "response_bytes",
        "seconds",
        "statuses",
        "to_client",
        "websockets",
        "websockets_open",
    )

    def __init__(self) -> None:
        """All counts are zero."""
        self.statuses = [0] * _CLASSES
        self.first_byte_seconds = Histogram(REQUEST_SECONDS)
        self.seconds = Histogram(REQUEST_SECONDS)
        self.request_bytes = 0
        self.response_bytes = 0
        self.websockets = 0
        self.websockets_open = 0
        self.from_client = Traffic()
        self.to_client = Traffic()
        self.closes: Counter[tuple[CloseClass, ClosedBy]] = Counter()
        """WebSockets that ended, by the class of their close code and the side that closed."""
        self.payload_messages: dict[str, MessageCounts] = {}
        self.payload_refusals: Counter[Cause] = Counter()

    def messages(self, ring: str) -> MessageCounts:
        """The counts of encrypted messages under a configured ring, or in sessions
        (`Channel.label`)."""
        found = self.payload_messages.get(ring)
        if found is None:
            found = self.payload_messages[ring] = MessageCounts()
        return found


def _websocket_over(route: RouteCounters, record: RequestRecord) -> None:
    """Its bytes are counted already, and its client decides how long it lasts."""
    if record.closed is not None:
        route.closes[record.closed.kind, record.closed.by] += 1


def _no_losses() -> tuple[int, int]:
    return 0, 0


class Counters:
    """All counters of a worker."""

    def __init__(
        self, log_losses: Callable[[], tuple[int, int]] = _no_losses, breaking: BreakingClients | None = None
    ) -> None:
        """`log_losses` returns the lines of the log that were lost, and the failed attempts to
        write it. `breaking` counts the clients that the policy `require` would refuse."""
        self._log_losses = log_losses
        self._handshakes: Counter[tuple[str, str, str, str, bool]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._listeners: dict[str, ListenerCounters] = {}
        self._routes: dict[str | None, RouteCounters] = {}
        self._http_2_seconds = Histogram(REQUEST_SECONDS)
        self._servers: dict[str, Histogram] = {}
        self._busiest = BusiestClients()
        self._until_sample = 1
        self._signing: dict[str, Histogram] = {}
        self._tokens: dict[str, TokenCounters] = {}
        self.breaking = breaking or BreakingClients()
        self.loop_lag = Histogram(LAG_SECONDS)
        self.swaps = 0
        """Configurations that the worker took over."""

    # -- counting

    def listener(self, name: str) -> ListenerCounters:
        """The counters of a configured listener."""
        found = self._listeners.get(name)
        if found is None:
            found = self._listeners[name] = ListenerCounters()
        return found

    def route(self, label: str | None) -> RouteCounters:
        """The counters of a configured route; None for requests that found none."""
        found = self._routes.get(label)
        if found is None:
            found = self._routes[label] = RouteCounters()
        return found

    def token(self, name: str) -> TokenCounters:
        """The counters of a configured token."""
        found = self._tokens.get(name)
        if found is None:
            found = self._tokens[name] = TokenCounters()
        return found

    def established(self, listener: str, result: Established, seconds: float) -> None:
        """Count a finished handshake; `seconds` from the accept of its connection."""
        identity = result.identity.name
        self._handshakes[listener, identity, result.outcome, result.group_name, result.is_resumed] += 1
        self.listener(listener).handshake_seconds.observe(seconds)
        if result.signing_seconds is not None:
            signing = self._signing.get(identity)
            if signing is None:
                signing = self._signing[identity] = Histogram(SIGNING_SECONDS)
            signing.observe(result.signing_seconds)

    def refused(self, listener: str, identity: str | None) -> None:
        """Count a client that the policy refused. `identity` is None if no identity has the name
        that it asked for."""
        self._handshakes[listener, identity or NOWHERE, "refused", NOWHERE, False] += 1

    def failure(self, listener: str, reason: str) -> None:
        """Count a connection or a request that failed; `reason` is a name in the code."""
        self._failures[listener, reason] += 1

    def request(self, record: RequestRecord) -> None:
        """Count a request that was answered or given up. It runs for every request: keep it
        cheap."""
        route = self._routes.get(record.route) or self.route(record.route)
        name = record.connection.listener
        listener = self._listeners.get(name) or self.listener(name)
        hundreds = record.status // 100
        if record.error is not None:
            hundreds = self._failed(record, route, record.error)
        route.statuses[hundreds] += 1
        listener.statuses[hundreds] += 1
        is_http_2 = record.connection.protocol == _HTTP_2
        if is_http_2:
            listener.http2.requests += 1
        bucket = route.first_byte_seconds.observe(record.first_byte)
        if record.upstream is not None:
            server = self._servers.get(record.upstream)
            if server is None:
                server = self._servers[record.upstream] = Histogram(REQUEST_SECONDS)
            # its bounds are the same: this needs no further call
            server.counts[bucket] += 1
            server.sum += record.first_byte
        self._until_sample -= 1
        if self._until_sample == 0:
            self._until_sample = EVERY
            self._busiest.add(record.connection.client, record.time)
        if record.messages is not None:
            _websocket_over(route, record)
            return
        route.seconds.observe(record.duration)
        if is_http_2:
            self._http_2_seconds.observe(record.duration)
        route.request_bytes += record.request_bytes
        route.response_bytes += record.response_bytes

    def _failed(self, record: RequestRecord, route: RouteCounters, error: str) -> int:
        """Count the reason. Returns the first digit of the status, or `_MALFORMED`."""
        hundreds, reason = record.status // 100, request_reason(record.status, error)
        if reason is not None:
            self.failure(record.connection.listener, reason)
        cause = _CAUSES.get(error)
        if cause is not None:
            route.payload_refusals[cause] += 1
        is_malformed = reason is RequestReason.MALFORMED_REQUEST and hundreds == _SERVER_ERRORS
        return _MALFORMED if is_malformed else hundreds

    # -- the snapshot

    def snapshot(self) -> dict[str, Any]:
        """Return all counts for JSON: rows of labels (text) and numbers, which `merging` adds up
        over workers."""
        dropped, errors = self._log_losses()
        return {
            **self._connections(),
            **relay_rows(self._relays()),
            **self._requests(),
            "tokens": [one.row(name) for name, one in self._tokens.items()],
            "key_signatures": [row for one in self._tokens.values() for row in one.key_rows()],
            "token_signing_seconds": [one.signing_seconds.row(token=name) for name, one in self._tokens.items()],
            "token_wait_seconds": [one.wait_seconds.row(token=name) for name, one in self._tokens.items()],
            "loop_lag": [self.loop_lag.row()],
            "log": [{"dropped": dropped, "errors": errors}],
            "swaps": [{"count": self.swaps}],
            "breaking": self.breaking.snapshot(),
            "busiest": self._busiest.snapshot(),
            "server_seconds": [one.row(server=address) for address, one in self._servers.items()],
            "breaking_connections": self.breaking.rows(),
        }

    def _connections(self) -> dict[str, Any]:
        return {
            "handshakes": [
                {
                    "listener": listener,
                    "identity": identity,
                    "outcome": outcome,
                    "group": group,
                    "version": _TLS_VERSION,
                    "resumed": "true" if resumed else "false",
                    "count": count,
                }
                for (listener, identity, outcome, group, resumed), count in sorted(self._handshakes.items())
            ],
            "failures": self._failure_rows(),
            "connections": [
                {"listener": name, "accepted": one.accepted, "open": one.open} for name, one in self._listeners.items()
            ],
            "handshake_seconds": [one.handshake_seconds.row(listener=name) for name, one in self._listeners.items()],
            "signing_seconds": [one.row(identity=name) for name, one in self._signing.items()],
            "listener_requests": self._listener_request_rows(),
            "protocol_requests": protocol_requests(
                (name, sum(one.statuses), one.http2.requests) for name, one in sorted(self._listeners.items())
            ),
            "protocol_seconds": protocol_seconds([one.seconds for one in self._routes.values()], self._http_2_seconds),
            "http2": [
                {
                    "listener": name,
                    "connections": one.http2.connections,
                    "open": one.http2.connections_open,
                    "streams_open": one.http2.streams_open,
                }
                for name, one in self._listeners.items()
            ],
            "http2_resets": [
                {"listener": name, "cause": cause, "count": count}
                for name, one in self._listeners.items()
                for cause, count in sorted(one.http2.resets.items())
            ],
        }

    def _relays(self) -> list[tuple[str, str, RelayCounters]]:
        listeners = self._listeners.items()
        return [(name, "tcp", one.tcp) for name, one in listeners] + [
            (name, "passthrough", one.passthrough) for name, one in listeners
        ]

    def _requests(self) -> dict[str, Any]:
        routes = [(label or NOWHERE, one) for label, one in self._routes.items()]
        return {
            "requests": [
                {"route": label, "status": _class_name(hundreds), "count": count}
                for label, one in routes
                for hundreds, count in enumerate(one.statuses)
                if count
            ],
            "first_byte_seconds": [one.first_byte_seconds.row(route=label) for label, one in routes],
            "request_seconds": [one.seconds.row(route=label) for label, one in routes],
            "bytes": [
                {"route": label, "request": one.request_bytes, "response": one.response_bytes} for label, one in routes
            ],
            "websockets": [
                {"route": label, "count": one.websockets, "open": one.websockets_open} for label, one in routes
            ],
            "websocket_traffic": [
                {"route": label, "direction": direction, "messages": traffic.messages, "bytes": traffic.bytes}
                for label, one in routes
                for direction, traffic in (("from_client", one.from_client), ("to_client", one.to_client))
            ],
            "websocket_closes": [
                {"route": label, "class": kind, "by": by, "count": count}
                for label, one in routes
                for (kind, by), count in sorted(one.closes.items())
            ],
            "payload_messages": [
                {"route": label, "ring": ring, "opened": counts.opened, "sealed": counts.sealed}
                for label, one in routes
                for ring, counts in one.payload_messages.items()
            ],
            "payload_refusals": [
                {"route": label, "cause": cause.slug, "count": count}
                for label, one in routes
                for cause, count in one.payload_refusals.items()
            ],
        }

    def _failure_rows(self) -> list[dict[str, str | int]]:
        return [
            {"listener": listener, "reason": reason, "count": count}
            for (listener, reason), count in sorted(self._failures.items())
        ]

    def _listener_request_rows(self) -> list[dict[str, str | int]]:
        return [
            {"listener": name, "status": _class_name(hundreds), "count": count}
            for name, one in sorted(self._listeners.items())
            for hundreds, count in enumerate(one.statuses)
            if count
        ]
