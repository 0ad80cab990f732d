"""Reloads, drains and limits on time over HTTP/2: a client that sends refused streams again sees none fail (RFC 9113 6.8)."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.hostile.client import Address
from tests.hostile.strict_frames import CLOSE, TEXT, FrameReader
from tests.integration.http2 import Http2Client
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import backends
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

pytestmark = pytest.mark.paced

LOAD = Path(__file__).with_name("http2_load.mjs")
SECONDS = 30


@contextmanager
def node_load(running: Scene, told: dict[str, Any]) -> Iterator[None]:
    """Node's client asks all the time; what came of it is in `told` afterwards."""
    url = f"https://localhost:{running.port}"
    command = ["node", str(LOAD), url, "8", "5"]
    trusted = {**os.environ, "NODE_EXTRA_CA_CERTS": str(running.authority.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=trusted) as node:
        try:
            yield
            output, _ = node.communicate(b"end\n", timeout=SECONDS)
        finally:
            node.kill()
    told.update(json.loads(output))


def reloaded(running: Scene, count: int) -> None:
    """Write the configuration, and wait for its reload, which is the `count`th."""
    running.write()
    running.signal(signal.SIGHUP)
    until_found(lambda: len(running.events("reloaded", "reload_failed")) == count)


def test_no_request_fails_while_workers_are_drained(tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    with scene(tmp_path) as running:
        with node_load(running, told):
            for number, workers in enumerate((1, 2, 1, 3, 2), start=1):
                running.workers = workers
                reloaded(running, number)
                until_found(lambda: len(running.worker_pids) == running.workers)
        assert running.events("error", "reload_failed") == []
    entries = [json.loads(line) for line in running.running.output if '"/load/' in line]
    # what Node did not send on a session that ends was never here
    assert {one["status"] for one in entries} == {200}
    assert len(entries) == told["requests"]
    assert told["failures"] == []
    assert told["goaways"] >= 2
    assert told["requests"] > 1_000


def test_no_request_fails_while_the_configuration_changes(tmp_path: Path) -> None:
    with scene(tmp_path) as running:
        command = ["h2load", "-D", "4", "-c", "8", "-m", "10", f"https://localhost:{running.port}/load"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            for number in range(1, 6):
                running.extra = f"[limits]\nbody_bytes = {number}_000_000\n"
                reloaded(running, number)
            output, _ = load.communicate(timeout=SECONDS)
        assert [one["event"] for one in running.events("reloaded", "reload_failed", "error")] == ["reloaded"] * 5
    assert "0 failed, 0 errored, 0 timeout" in output
    assert ", 0 4xx, 0 5xx" in output


@pytest.fixture
def hasty(tmp_path: Path, authority: Authority, localhost: Any) -> Iterator[Site]:
    """A proxy that keeps idle connections for a moment only, in front of a server that echoes."""
    with backends(1) as (backend,):
        upstreams = {"one": Upstream((backend.url,), path="/")}
        with site(tmp_path, authority, localhost, upstreams, "[limits]\nkeep_alive_seconds = 0.5\n") as running:
            yield running


def test_idle_connection_ends_in_two_steps_and_takes_requests_between_them(hasty: Site) -> None:
    """A request that crosses the first GOAWAY on its way is answered."""
    with Http2Client(Address(hasty.port(), hasty.ca)) as client:
        assert client.get("/first").status == 200
        client.until(lambda: client.goaways)
        assert (client.goaways[0].last_stream_id, client.goaways[0].error_code) == (2**31 - 1, 0)
        client.reopen()
        assert client.get("/crossing").status == 200
        client.until(lambda: len(client.goaways) == 2)
        assert (client.goaways[1].last_stream_id, client.goaways[1].error_code) == (3, 0)
        client.await_end()
    assert hasty.record("/crossing")["status"] == 200


def test_websocket_is_asked_to_come_again(tmp_path: Path) -> None:
    with scene(tmp_path) as running, Http2Client(Address(running.port, running.authority.path)) as client:
        stream = client.open_websocket("/chat")
        client.h2.send_data(stream, b"\x81\x85\0\0\0\0hello")
        client.flush()
        reader = FrameReader(is_masked=False)
        answer = client.answers[stream]
        client.until(lambda: bytes(answer.body) == b"\x81\x05hello")
        running.route = running.route.replace("localhost", "127.0.0.1")
        running.extra = "[limits]\ndrain_seconds = 2.0\n"  # the close frame comes at some moment of its first half
        reloaded(running, 1)
        client.until(lambda: len(answer.body) > 7)
        client.h2.send_data(stream, b"\x88\x82\0\0\0\0\x03\xf4", end_stream=True)
        client.flush()
        client.answer(stream)
        reader.feed(bytes(answer.body))
        assert [one.opcode for one in reader.frames] == [TEXT, CLOSE]
        assert reader.frames[1].payload[:2] == (1012).to_bytes(2)
        assert (answer.is_complete, answer.reset) == (True, None)
        assert client.goaways == [], "its connection goes on"
