"""How the process ends: what is in progress is finished, what is idle is closed, and nobody waits longer than they want to."""

import contextlib
import json
import os
import re
import signal
import socket
from asyncio import timeout, to_thread
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from proxy.processes.hot_path import hot_path
from tests.configurations import listener
from tests.hostile.client import Address, Client, End
from tests.integration.gateway import Gateway, Trust, complaints, events, gateway
from tests.integration.upstreams import ScriptedServer, Slow, scripted
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, plexigate_listeners, program
from tests.soak.scenes import scene
from tests.waiting import is_alive, until_found

SECONDS = 10.0
REQUEST = b"GET %s HTTP/1.1\r\nHost: chat.test\r\n\r\n"
PUBLIC = listener("standard")


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slow_server(slow: Slow) -> Iterator[ScriptedServer]:
    with scripted(slow.script) as server:
        yield server
        slow.answer.set()


def ended(pid: int) -> None:
    """Wait until a process is gone, or only its parent has not noticed yet."""
    until_found(lambda: not is_alive(pid), SECONDS)


def refuses(running: Gateway) -> bool:
    """Whether nobody listens any more."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", running.port())) != 0


def wait_until_refused(running: Gateway) -> None:
    """Wait until the signal has arrived."""
    deadline = monotonic() + SECONDS
    while not refuses(running):
        assert monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_under_way_is_answered_and_idle_connections_are_closed(
    trust: Trust, slow: Slow, slow_server: ScriptedServer, tmp_path: Path, number: int
) -> None:
    with (
        gateway(tmp_path, trust, slow_server, PUBLIC, {"linger_timeout": "200ms"}) as running,
        running.connect() as busy,
        running.connect() as idle,
    ):
        idle.send(REQUEST % b"/quick")
        assert idle.read_response().status == 200
        busy.send(REQUEST % b"/slow")
        assert slow.asked.wait(SECONDS)

        os.kill(running.program.pid, number)
        assert idle.await_end() is End.CLEAN
        wait_until_refused(running)
        slow.answer.set()
        response = busy.read_response()
        assert bytes(response.body) == b"done"
        assert response.values("Connection") == ["close"]
        assert busy.await_end() is End.CLEAN
        ended(running.program.pid)
    assert complaints(running.program.output) == []
    (stopped,) = events(running.program.output, "stopped")
    assert stopped["requests"] == [{"listener": "standard", "status": "2xx", "count": 2}]


def test_second_signal_ends_at_once(trust: Trust, slow: Slow, slow_server: ScriptedServer, tmp_path: Path) -> None:
    with gateway(tmp_path, trust, slow_server, PUBLIC) as running, running.connect() as busy:
        busy.send(REQUEST % b"/slow")
        assert slow.asked.wait(SECONDS)
        os.kill(running.program.pid, signal.SIGTERM)
        wait_until_refused(running)
        os.kill(running.program.pid, signal.SIGTERM)
        begun = monotonic()
        ended(running.program.pid)
        assert monotonic() - begun < 10
        assert busy.read_to_end() == b""
        assert busy.end in (End.CUT, End.RESET)
    assert len(events(running.program.output, "stopped")) == 1


def test_drain_takes_no_longer_than_its_limit(
    trust: Trust, slow: Slow, slow_server: ScriptedServer, tmp_path: Path
) -> None:
    with (
        gateway(tmp_path, trust, slow_server, PUBLIC, {"drain_timeout": "300ms"}) as running,
        running.connect() as busy,
    ):
        busy.send(REQUEST % b"/slow")
        assert slow.asked.wait(SECONDS)
        begun = monotonic()
        os.kill(running.program.pid, signal.SIGTERM)
        ended(running.program.pid)
        assert 0.3 <= monotonic() - begun < 10
    assert len(events(running.program.output, "stopped")) == 1


def test_handshake_under_way_does_not_hold_it_up(trust: Trust, echo_server: ScriptedServer, tmp_path: Path) -> None:
    with gateway(tmp_path, trust, echo_server, PUBLIC) as running, running.tcp() as sock:
        sock.sendall(b"\x16\x03\x01")
        running.s_client()  # by then the other connection was accepted
        begun = monotonic()
        os.kill(running.program.pid, signal.SIGTERM)
        ended(running.program.pid)
        assert monotonic() - begun < 10
    assert len(events(running.program.output, "stopped")) == 1


async def test_websocket_is_asked_to_come_again(trust: Trust, tmp_path: Path) -> None:
    """Status 1012, service restart, between two frames; its server sees an orderly end as well."""
    seen: list[int] = []

    async def echo(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for message in socket:
                await socket.send(message)
        if socket.protocol.close_rcvd is not None:
            seen.append(socket.protocol.close_rcvd.code)

    async with timeout(SECONDS), serve(echo, "127.0.0.1", 0) as server:
        upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with gateway(tmp_path, trust, upstream, PUBLIC, {"drain_timeout": "400ms"}) as running:
            sock = running.tcp()
            sock.settimeout(0)
            context = trust.classical.client_context()
            async with connect("wss://chat.test/gateway", sock=sock, ssl=context, proxy=None) as client:
                await client.send("hello")
                assert await client.recv() == "hello"
                os.kill(running.program.pid, signal.SIGTERM)
                with pytest.raises(ConnectionClosedError) as caught:
                    await client.recv()
            await to_thread(ended, running.program.pid)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
    assert seen == [1001]
    entry = next(json.loads(line) for line in running.program.output if '"status":101' in line)
    assert (entry["messages_in"], entry["messages_out"]) == (1, 1)


def test_people_are_told_what_is_offered_and_what_happened(
    trust: Trust, echo_server: ScriptedServer, tmp_path: Path
) -> None:
    with gateway(tmp_path, trust, echo_server, PUBLIC):
        configuration = str(next(tmp_path.glob("*.toml")))
    command = [PLEXIGATE, "run", "--log-format", "pretty", configuration]
    with program(command, lambda line: "    modern" in line or None) as running:
        pass
    times = {line[:15] for line in running.output}
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}Z  | {15}", one) for one in times), times
    lines = [line[15:] for line in running.output if ": user: " not in line]
    assert lines[0].startswith(f"ready: hot path {hot_path()}; OpenSSL 3.")
    assert lines[1].startswith("listener standard: 127.0.0.1:")
    assert "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024 / X25519" in lines[2]
    assert "  dual  ecdsa-p256, mldsa-65" in lines
    assert lines[-1] == "stopped: 0 requests; handshakes: none; failures: 0"


def test_parent_that_is_killed_takes_its_workers_along_and_leaves_the_addresses_free(tmp_path: Path) -> None:
    bound = listener("public", bind=f"127.0.0.1:{lasting_port()}").partition("\n")[2]
    with scene(tmp_path, listener=bound) as first:
        address = Address(first.port, first.authority.path)
        with Client(address, "localhost") as client:
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.read_response().status == 200
            workers = first.worker_pids
            assert len(workers) == 2
            os.kill(first.running.pid, signal.SIGKILL)
            with program([PLEXIGATE, "run", str(first.path)], plexigate_listeners) as second:
                assert second.ready == first.running.ready
                for pid in workers:
                    ended(pid)
                with Client(address, "localhost") as again:
                    again.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert again.read_response().status == 200
            assert client.read_to_end() == b""
        assert complaints(second.output) == []
