"""What is told about a server."""

import dataclasses
import json

from proxy.upstream.statistics import ServerState, ServerStatistics, StreamCounts


def test_it_can_be_written_as_json() -> None:
    figures = ServerStatistics("chat", "http://a", ServerState.SLOW_START, 1, 2, 3, 4, 5, 6, 7, 8, 0.5, 9, 10, 11, 12)
    assert json.loads(json.dumps(dataclasses.asdict(figures))) == {
        "upstream": "chat",
        "server": "http://a",
        "state": "slow-start",
        "open": 1,
        "idle": 2,
        "dialling": 3,
        "waiting": 4,
        "requests": 5,
        "websockets": 6,
        "failures": 7,
        "ejections": 8,
        "wait_seconds": 0.5,
        "streams_open": 9,
        "http2_requests": 10,
        "http2_goaways": 11,
        "http2_refused": 12,
    }


def test_counts_of_another_configuration_go_on() -> None:
    first, second = StreamCounts(), StreamCounts()
    first.requests, first.goaways, first.refused = 3, 2, 1
    second.follow(first)
    assert (second.requests, second.goaways, second.refused) == (3, 2, 1)
