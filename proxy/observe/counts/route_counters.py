"""The counters of one route, and their rows in a snapshot. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.figures.histogram import REQUEST_SECONDS, Histogram
from proxy.figures.snapshot import RequestFamilies
from proxy.observe.counts.relay_counters import Traffic
from proxy.observe.counts.request_classes import CLASSES, class_name
from proxy.payload.messages.uses import MessageCounts

if TYPE_CHECKING:
    from proxy.http.websocket.close import CloseClass, ClosedBy
    from proxy.payload.messages.causes import Cause


class RouteCounters:
    def __init__(self) -> None:
        self.statuses = [0] * CLASSES
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
        """Counts of messages under a configured ring, or in sessions (`MessageCipher.label`)."""
        found = self.payload_messages.get(ring)
        if found is None:
            found = self.payload_messages[ring] = MessageCounts()
        return found


def route_rows(routes: Sequence[tuple[str, RouteCounters]]) -> RequestFamilies:
    return {
        "requests": [
            {"route": label, "status": class_name(hundreds), "count": count}
            for label, one in routes
            for hundreds, count in enumerate(one.statuses)
            if count
        ],
        "first_byte_seconds": [one.first_byte_seconds.row(route=label) for label, one in routes],
        "request_seconds": [one.seconds.row(route=label) for label, one in routes],
        "bytes": [
            {"route": label, "request": one.request_bytes, "response": one.response_bytes} for label, one in routes
        ],
        "websockets": [{"route": label, "count": one.websockets, "open": one.websockets_open} for label, one in routes],
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
