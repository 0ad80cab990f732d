"""The rows of connections that were relayed."""

from proxy.observe.counts.relay_counters import RelayCounters, relay_rows


def test_only_kinds_with_connections_have_rows() -> None:
    used, unused = RelayCounters(), RelayCounters()
    used.connections, used.connections_open = 3, 1
    used.from_client.bytes, used.to_client.bytes = 10, 20
    used.ends["closed"] += 2
    used.groups["X25519"] += 3
    assert relay_rows([("irc", "tcp", used), ("irc", "passthrough", unused)]) == {
        "relays": [{"listener": "irc", "kind": "tcp", "connections": 3, "open": 1}],
        "relay_bytes": [
            {"listener": "irc", "kind": "tcp", "direction": "from_client", "bytes": 10},
            {"listener": "irc", "kind": "tcp", "direction": "to_client", "bytes": 20},
        ],
        "relay_ends": [{"listener": "irc", "kind": "tcp", "reason": "closed", "count": 2}],
        "passthrough_groups": [{"listener": "irc", "group": "X25519", "count": 3}],
    }
