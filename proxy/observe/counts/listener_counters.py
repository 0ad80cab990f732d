"""The counters of one listener, and their rows in a snapshot. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.figures.histogram import HANDSHAKE_SECONDS, Histogram
from proxy.figures.snapshot import ListenerFamilies
from proxy.observe.counts.relay_counters import RelayCounters
from proxy.observe.counts.request_classes import CLASSES, HTTP_2, HTTP_3, class_name, protocol_requests

if TYPE_CHECKING:
    from proxy.http2.wire.causes import ResetCause


class StreamCounters:
    """The HTTP/2 or HTTP/3 connections of one listener, and their streams. Their driver counts."""

    def __init__(self) -> None:
        self.connections = 0
        self.connections_open = 0
        self.requests = 0
        """Requests that are over; `Counters.request` counts them."""
        self.resets: Counter[ResetCause] = Counter()
        self.streams_open = 0


class ListenerCounters:
    def __init__(self) -> None:
        self.accepted = 0
        """Accepted connections. Connections over a limit count as failures."""
        self.open = 0
        self.statuses = [0] * CLASSES
        """Requests by the first digit of their status."""
        self.handshake_seconds = Histogram(HANDSHAKE_SECONDS)
        self.http2 = StreamCounters()
        self.http3 = StreamCounters()
        self.tcp = RelayCounters()
        self.passthrough = RelayCounters()

    def request(self, hundreds: int, protocol: str) -> None:
        """Count a request by the first digit of its status, and by its version of HTTP."""
        self.statuses[hundreds] += 1
        if protocol == HTTP_2:
            self.http2.requests += 1
        elif protocol == HTTP_3:
            self.http3.requests += 1


def listener_rows(listeners: Mapping[str, ListenerCounters]) -> ListenerFamilies:
    return {
        "connections": [
            {"listener": name, "accepted": one.accepted, "open": one.open} for name, one in listeners.items()
        ],
        "handshake_seconds": [one.handshake_seconds.row(listener=name) for name, one in listeners.items()],
        "listener_requests": [
            {"listener": name, "status": class_name(hundreds), "count": count}
            for name, one in sorted(listeners.items())
            for hundreds, count in enumerate(one.statuses)
            if count
        ],
        "protocol_requests": protocol_requests(
            (name, sum(one.statuses), one.http2.requests, one.http3.requests) for name, one in sorted(listeners.items())
        ),
        "http2": [
            {
                "listener": name,
                "connections": one.http2.connections,
                "open": one.http2.connections_open,
                "streams_open": one.http2.streams_open,
            }
            for name, one in listeners.items()
        ],
        "http3": [
            {"listener": name, "connections": one.http3.connections, "open": one.http3.connections_open}
            for name, one in listeners.items()
            if one.http3.connections
        ],
        "http2_resets": [
            {"listener": name, "cause": cause, "count": count}
            for name, one in listeners.items()
            for cause, count in sorted(one.http2.resets.items())
        ],
    }


def relays_of(listeners: Mapping[str, ListenerCounters]) -> list[tuple[str, str, RelayCounters]]:
    """The connections that were relayed without being read: listener, kind, counters."""
    tcp = [(name, "tcp", one.tcp) for name, one in listeners.items()]
    return tcp + [(name, "passthrough", one.passthrough) for name, one in listeners.items()]
