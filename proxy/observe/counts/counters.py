"""The counters of one process, under labels that no client can invent. Pure.

A label is a name of the configuration (listeners, identities, routes), of the code (reasons,
outcomes) or of OpenSSL (groups that a listener offers). Other values that a client sends are
counted under `-`: invented names cost no memory here, and no series in a monitoring system. The
counters of a route or listener are an object with plain attributes, so a request costs two look-ups
by name and some additions. The parent merges the counts of the workers (`merging`).
"""

from collections.abc import Callable
from typing import Final, cast

from proxy.figures.histogram import LAG_SECONDS, REQUEST_SECONDS, SIGNING_SECONDS, Histogram
from proxy.figures.snapshot import (
    CountedFamilies,
    FailureRow,
    HandshakeFamilies,
    Snapshot,
)
from proxy.limits.reasons import RequestReason, request_reason
from proxy.observe.counts.breaking import BreakingClients
from proxy.observe.counts.busiest import EVERY, BusiestClients
from proxy.observe.counts.listener_counters import ListenerCounters, listener_rows, relays_of
from proxy.observe.counts.relay_counters import relay_rows
from proxy.observe.counts.request_classes import HTTP_2, HTTP_3, MALFORMED, SERVER_ERRORS, protocol_seconds
from proxy.observe.counts.route_counters import RouteCounters, route_rows
from proxy.observe.logs.access_log import RequestRecord
from proxy.payload.messages.causes import Cause
from proxy.signing.token_counters import TokenCounters
from proxy.tls.handshake.results import Established

NOWHERE: Final = "-"
"""The label for requests without a route and handshakes without an identity."""

# The contexts allow no other version (`openssl.context`).
_TLS_VERSION: Final = "TLSv1.3"
# By the reason in the log line of a request that payload encryption refused.
_CAUSES: Final = {cause.reason: cause for cause in Cause}


def _websocket_over(route: RouteCounters, record: RequestRecord) -> None:
    """Its bytes are counted already, and its client decides how long it lasts."""
    if record.closed is not None:
        route.closes[record.closed.kind, record.closed.by] += 1


def _no_losses() -> tuple[int, int]:
    return 0, 0


class Counters:
    def __init__(
        self, log_losses: Callable[[], tuple[int, int]] = _no_losses, breaking: BreakingClients | None = None
    ) -> None:
        """`log_losses` returns the lines of the log that were lost, and the failed attempts to
        write it. `breaking` counts the clients that the policy `require` would refuse."""
        self._log_losses = log_losses
        # no `Counter`, which compiled code asks by way of the interpreter
        self._handshakes: dict[tuple[str, str, str, str, bool], int] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._listeners: dict[str, ListenerCounters] = {}
        self._routes: dict[str | None, RouteCounters] = {}
        self._later_seconds = {HTTP_2: Histogram(REQUEST_SECONDS), HTTP_3: Histogram(REQUEST_SECONDS)}
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
        found = self._tokens.get(name)
        if found is None:
            found = self._tokens[name] = TokenCounters()
        return found

    def established(self, listener: str, result: Established, seconds: float) -> None:
        """Count a finished handshake; `seconds` from the accept of its connection."""
        identity = result.identity.name
        key = (listener, identity, result.outcome, result.group_name, result.is_resumed)
        self._handshakes[key] = self._handshakes.get(key, 0) + 1
        self.listener(listener).handshake_seconds.observe(seconds)
        if result.signing_seconds is not None:
            signing = self._signing.get(identity)
            if signing is None:
                signing = self._signing[identity] = Histogram(SIGNING_SECONDS)
            signing.observe(result.signing_seconds)

    def refused(self, listener: str, identity: str | None) -> None:
        """Count a client that the policy refused. `identity` is None if no identity has the name
        that it asked for."""
        key = (listener, identity or NOWHERE, "refused", NOWHERE, False)
        self._handshakes[key] = self._handshakes.get(key, 0) + 1

    def failure(self, listener: str, reason: str) -> None:
        """Count a connection or a request that failed; `reason` is a name in the code."""
        key = (listener, reason)
        self._failures[key] = self._failures.get(key, 0) + 1

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
        protocol = record.connection.protocol
        listener.request(hundreds, protocol)
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
        bucket = route.seconds.observe(record.duration)
        later = self._later_seconds.get(protocol)
        if later is not None:
            later.counts[bucket] += 1  # likewise
            later.sum += record.duration
        route.request_bytes += record.request_bytes
        route.response_bytes += record.response_bytes

    def _failed(self, record: RequestRecord, route: RouteCounters, error: str) -> int:
        """Count the reason. Returns the first digit of the status, or `MALFORMED`."""
        hundreds = record.status // 100
        reason = request_reason(record.status, error)
        if reason is not None:
            self.failure(record.connection.listener, reason)
        cause = _CAUSES.get(error)
        if cause is not None:
            route.payload_refusals[cause] += 1
        is_malformed = reason is RequestReason.MALFORMED_REQUEST and hundreds == SERVER_ERRORS
        return MALFORMED if is_malformed else hundreds

    # -- the snapshot

    def snapshot(self) -> Snapshot:
        """Return all counts for JSON: rows of labels (text) and numbers, which `merging` adds up
        over workers."""
        dropped, errors = self._log_losses()
        families: CountedFamilies = {
            **self._handshake_rows(),
            **listener_rows(self._listeners),
            **relay_rows(relays_of(self._listeners)),
            **route_rows([(label or NOWHERE, one) for label, one in self._routes.items()]),
            "protocol_seconds": protocol_seconds([one.seconds for one in self._routes.values()], self._later_seconds),
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
        return cast("Snapshot", families)

    def _handshake_rows(self) -> HandshakeFamilies:
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
            "signing_seconds": [one.row(identity=name) for name, one in self._signing.items()],
        }

    def _failure_rows(self) -> list[FailureRow]:
        return [
            {"listener": listener, "reason": reason, "count": count}
            for (listener, reason), count in sorted(self._failures.items())
        ]
