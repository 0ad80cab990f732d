"""What is told about a server."""

import dataclasses
import json

from proxy.upstream.statistics import ServerState, ServerStatistics


def test_it_can_be_written_as_json() -> None:
    figures = ServerStatistics("chat", "http://a", ServerState.SLOW_START, 1, 2, 3, 4, 5, 6, 7, 8, 0.5)
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
    }
