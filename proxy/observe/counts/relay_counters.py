"""The counters of connections whose bytes go both ways without being read. Pure.

TCP connections (kind `tcp`), and connections whose TLS was passed on (kind `passthrough`).
"""

from collections import Counter
from collections.abc import Iterable

from proxy.figures.snapshot import RelayFamilies


class Traffic:
    """One direction of connections of one kind."""

    def __init__(self) -> None:
        self.bytes = 0
        self.messages = 0


class RelayCounters:
    """Of one listener, and of one kind."""

    def __init__(self) -> None:
        self.connections = 0
        self.connections_open = 0
        self.from_client = Traffic()
        self.to_client = Traffic()
        self.ends: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()
        """How many clients offered a group, by names that a listener knows; of a passthrough."""


def relay_rows(listeners: Iterable[tuple[str, str, RelayCounters]]) -> RelayFamilies:
    """The rows of a snapshot. Takes listener, kind and counters."""
    shown = [one for one in listeners if one[2].connections]
    return {
        "relays": [
            {"listener": name, "kind": kind, "connections": one.connections, "open": one.connections_open}
            for name, kind, one in shown
        ],
        "relay_bytes": [
            {"listener": name, "kind": kind, "direction": direction, "bytes": traffic.bytes}
            for name, kind, one in shown
            for direction, traffic in (("from_client", one.from_client), ("to_client", one.to_client))
        ],
        "relay_ends": [
            {"listener": name, "kind": kind, "reason": reason, "count": count}
            for name, kind, one in shown
            for reason, count in sorted(one.ends.items())
        ],
        "passthrough_groups": [
            {"listener": name, "group": group, "count": count}
            for name, _, one in shown
            for group, count in sorted(one.groups.items())
        ],
    }
