"""The load over HTTP/3 reaches the upstream through nginx and Plexigate, with the same key exchange."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.processes.hot_path import hot_path
from proxy.quic.availability import unavailable
from tests.bench import http3, load
from tests.bench.__main__ import GROUP
from tests.bench.instructions import Instructions
from tests.bench.measuring import Scene
from tests.bench.servers import MESSAGE, Server

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

# Thousands for one of ten at a time, when this was written. It may rise by a fifth: on a busy machine timers of QUIC fire more often.
INSTRUCTIONS = 145.0
ALLOWED = 1.2
_COUNTED = 384


@pytest.fixture(scope="module")
def both(scene: Scene) -> Iterator[tuple[Server, Server]]:
    with scene.bench.http3(scene.backend) as servers:
        yield servers


@pytest.fixture(params=["nginx", "plexigate"])
def http3_server(request: pytest.FixtureRequest, both: tuple[Server, Server]) -> Server:
    """Each of the two."""
    return next(one for one in both if one.name == request.param)


@pytest.mark.parametrize("streams", [1, http3.STREAMS])
def test_requests_share_a_connection(http3_server: Server, scene: Scene, streams: int) -> None:
    bench = scene.bench
    assert http3.requests(http3_server, 20, bench.other_core, bench.authority, streams=streams) == 20


def test_handshakes_have_the_group_of_the_other_rows(http3_server: Server, scene: Scene, directory: Path) -> None:
    path = f"/h3-{http3_server.name}"
    (directory / "files" / path[1:]).write_text("{}")
    bench = scene.bench
    http3._curl(http3_server, bench.other_core, bench.authority, path, 1)
    log = directory / ("nginx.log" if http3_server.name == "nginx" else "plexigate-http3.log")
    while path not in (text := log.read_text()):  # it is written a while later
        pass
    (line,) = [line for line in text.splitlines() if f'"path":"{path}"' in line]
    # nginx 1.26 has no name for X25519MLKEM768 over QUIC, only its number
    assert json.loads(line)["group"] in {GROUP, "0x11ec"}


def test_connections_rest_after_an_answer(http3_server: Server, scene: Scene) -> None:
    with http3.idle_connections(http3_server, 3, MESSAGE, scene.bench.authority):
        pass


@pytest.mark.skipif(hot_path() != "compiled", reason="the bound is that of compiled code")
def test_instructions_of_a_request(scene: Scene, tmp_path: Path) -> None:
    """With its part of a handshake."""
    meter = Instructions(tmp_path, idle_seconds=1.0)
    bench = replace(scene.bench, under=meter.command)

    def ask(server: Server) -> int:
        return http3.requests(server, _COUNTED, bench.other_core, bench.authority, streams=http3.STREAMS)

    with bench.plexigate(scene.backend, "counted", listener="http3 = true") as ours:
        ask(ours)
        assert meter.per_operation(ours, ask) < ALLOWED * INSTRUCTIONS


def test_answer_other_than_200_is_an_error(http3_server: Server, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http3, "MESSAGE", "/nothing")
    bench = scene.bench
    with pytest.raises(load.LoadError, match=r"did not answer all on one connection: \['3 404 0', '3 404 1'\]"):
        http3.requests(http3_server, 2, bench.other_core, bench.authority)


def test_server_without_http3_is_an_error(scene: Scene) -> None:
    with pytest.raises(load.LoadError, match="plexigate: curl says"):
        http3.handshakes(scene.ours, 1, scene.bench.other_core, scene.bench.authority)
