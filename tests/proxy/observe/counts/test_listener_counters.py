"""The counters of a listener."""

import json

from proxy.http2.wire.causes import ResetCause
from proxy.observe.counts.counters import Counters


def test_http_2_is_counted_by_listener() -> None:
    counters = Counters()
    http2 = counters.listener("public").http2
    http2.connections += 2
    http2.connections_open += 1
    http2.streams_open += 7
    for cause in (ResetCause.REFUSED, ResetCause.CLIENT, ResetCause.CLIENT):
        http2.resets[cause] += 1
    snapshot = counters.snapshot()
    assert snapshot["http2"] == [{"listener": "public", "connections": 2, "open": 1, "streams_open": 7}]
    assert snapshot["http2_resets"] == [
        {"listener": "public", "cause": "client", "count": 2},
        {"listener": "public", "cause": "refused", "count": 1},
    ]
    assert json.loads(json.dumps(snapshot)) == snapshot
