"""Reloads, drains and limits on time over HTTP/2: a client that sends refused streams again sees none fail (RFC 9113 6.8)."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.certificates import Authority
from tests.hostile.client import Address
from tests.hostile.strict_frames import CLOSE, TEXT, FrameReader
from tests.integration.http2 import Http2Client
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import backends, in_thread, websocket_server
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found, until_seen

pytestmark = pytest.mark.paced

LISTENER = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp = ["h2", "http/1.1"]'
LOAD = Path(__file__).with_name("http2_load.mjs")
SECONDS = 30
REQUESTS = 400
"""Before each reload. Each of Node's eight visitors takes a new session after 50, perhaps with a worker that is new."""


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
                wanted = len(running.requests("/load/")) + REQUESTS
                until_found(lambda: len(running.requests("/load/")) >= wanted, SECONDS)  # noqa: B023 - called here
                running.workers = workers
                reloaded(running, number)
                until_found(lambda: len(running.worker_pids) == running.workers)
        assert running.events("error", "reload_failed") == []
    entries = running.requests("/load/")
    # what Node did not send on a session that ends was never here
    assert {one["status"] for one in entries} == {200}
    assert len(entries) == told["requests"]
    assert told["failures"] == []
    assert told["goaways"] >= 2


async def test_polls_of_clients_that_take_goaway_for_the_end_are_answered(tmp_path: Path) -> None:
    """httpx gives up what is in progress at the first GOAWAY, though RFC 9113 6.8 has it continue."""
    limits = '[limits]\ndrain_timeout = "10s"\n'
    with scene(tmp_path, listener=LISTENER, extra=limits, workers=3) as running:
        url, is_over = f"https://localhost:{running.port}/late/300", asyncio.Event()
        answers: list[str] = []

        async def poll() -> None:
            async with httpx.AsyncClient(http2=True, verify=running.client, trust_env=False) as client:
                while not is_over.is_set():
                    answer = await client.get(url)
                    answers.append(f"{answer.http_version} {answer.status_code}")

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(poll())
            try:
                await until_seen(lambda: len(answers) >= 16)
                running.workers = 1
                await asyncio.to_thread(reloaded, running, 1)
                await until_seen(lambda: len(running.worker_pids) == 1)
            finally:
                is_over.set()
        assert set(answers) == {"HTTP/2 200"}
        assert running.events("error", "reload_failed") == []


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
        with site(tmp_path, authority, localhost, upstreams, '[limits]\nkeep_alive_timeout = "500ms"\n') as running:
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
        running.extra = '[limits]\ndrain_timeout = "2s"\n'  # the close frame comes at some moment of its first half
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


# RFC 6455 5.5.1, masked with zeros: a page that says `close(4001, "done")`, and its server's answer.
CLOSING = b"\x88\x86\0\0\0\0" + (4001).to_bytes(2) + b"done"
CLOSED = b"\x88\x06" + (4001).to_bytes(2) + b"done"


def end_with_it(client: Http2Client, stream: int) -> None:
    """As Chromium does."""
    client.h2.send_data(stream, CLOSING, end_stream=True)


def end_behind_it(client: Http2Client, stream: int) -> None:
    """In one write."""
    client.h2.send_data(stream, CLOSING)
    client.h2.end_stream(stream)


def end_later(client: Http2Client, stream: int) -> None:
    """When the proxy has read it, and perhaps the server."""
    client.h2.send_data(stream, CLOSING)
    client.get("/between")
    client.h2.end_stream(stream)


def stay(client: Http2Client, stream: int) -> None:
    """Never end it."""
    client.h2.send_data(stream, CLOSING)


def reset(client: Http2Client, stream: int) -> None:
    """End it without waiting for the answer."""
    client.h2.send_data(stream, CLOSING)
    client.h2.reset_stream(stream)


@pytest.fixture
def closing(tmp_path: Path, authority: Authority, localhost: Any) -> Iterator[Site]:
    """A proxy in front of a server that takes WebSockets alone."""
    with in_thread(websocket_server) as port:
        upstreams = {"one": Upstream((f"http://127.0.0.1:{port}",), path="/")}
        with site(tmp_path, authority, localhost, upstreams) as running:
            yield running


def test_websocket_that_its_page_closes_gets_the_close_frame_of_its_server(closing: Site) -> None:
    """Whatever END_STREAM comes with; Chromium tells the page 1006 without the server's frame."""
    with Http2Client(Address(closing.port(), closing.ca)) as client:
        for how in (end_with_it, end_behind_it, end_later, stay):
            stream = client.open_websocket(f"/{how.__name__}")
            how(client, stream)
            client.flush()
            answer = client.answer(stream)
            assert (how.__name__, bytes(answer.body), answer.is_complete) == (how.__name__, CLOSED, True)
        reset(client, client.open_websocket("/reset"))
        client.flush()
        stream = client.open_websocket("/by-the-server")
        client.h2.send_data(stream, b"\x81\x84\0\0\0\x004002")
        client.flush()
        answer = client.answers[stream]
        client.until(lambda: answer.body)
        assert answer.body[:4] == b"\x88\x0d" + (4002).to_bytes(2)
        client.h2.send_data(stream, b"\x88\x82\0\0\0\0" + (4002).to_bytes(2), end_stream=True)
        client.flush()
        assert client.answer(stream).is_complete
        for path in ("end_with_it", "end_behind_it", "end_later", "stay", "reset"):
            record = closing.record(f"/{path}")
            assert (record.get("error"), record["close"], record["closed_by"]) == (None, 4001, "client"), path
        assert closing.record("/by-the-server")["closed_by"] == "server"
