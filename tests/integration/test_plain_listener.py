"""The listener without TLS of a running proxy: who serves it, whom it sends where, and what silent untrusted clients cannot do."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import prepared
from tests.integration.admin import found
from tests.ports import lasting_port
from tests.programs import PLEXIGATE
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

pytestmark = pytest.mark.paced

SECONDS = 5.0
ADDRESSES = [f"127.0.0.{number}" for number in range(10, 20)]


def plain(port: int) -> str:
    return f'[plain]\nbind = "127.0.0.1:{port}"\n'


@pytest.fixture
def port() -> int:
    return lasting_port()


@pytest.fixture
def running(tmp_path: Path, port: int) -> Iterator[Scene]:
    """A proxy of the test's own, which counts what it does or changes it."""
    with scene(tmp_path, extra=plain(port)) as made:
        yield made


@pytest.fixture(scope="module")
def shared_port() -> int:
    return lasting_port()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, shared_port: int) -> Iterator[Scene]:
    """A proxy that several tests ask."""
    with scene(tmp_path_factory.mktemp("plain"), extra=plain(shared_port)) as made:
        yield made


def ask(port: int, host: str = "localhost", target: str = "/x", source: str = "127.0.0.1") -> bytes:
    """The whole answer to a request."""
    with socket.create_connection(("127.0.0.1", port), SECONDS, (source, 0)) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = b""
        while data := sock.recv(65_536):
            answer += data
    return answer


def test_it_is_served_by_workers_and_no_byte_passes_through_the_parent(shared: Scene, shared_port: int) -> None:
    os.kill(shared.running.pid, signal.SIGSTOP)
    try:
        assert ask(shared_port).startswith(b"HTTP/1.1 308 ")
    finally:
        os.kill(shared.running.pid, signal.SIGCONT)


@pytest.mark.usefixtures("shared")
def test_only_names_of_identities_are_sent_to_https(shared_port: int) -> None:
    assert b"\r\nLocation: https://localhost/x\r\n" in ask(shared_port)
    answer = ask(shared_port, "evil.example")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"Location" not in answer


def test_it_is_logged_and_counted_and_has_its_row(running: Scene, port: int) -> None:
    ask(port, target="/x?secret")
    ask(port, "evil.example")
    lines = until_found(lambda: [line for line in list(running.running.output) if '"plain"' in line][2:])
    assert '"host":"localhost","method":"GET","path":"/x","status":308' in "".join(
        line for line in running.running.output if "secret" not in line
    ), lines
    (row,) = (one for one in running.admin.status()["listeners"] if one["name"] == "plain")
    assert (row["addresses"], row["pq"], row["connections_accepted"]) == ([f"127.0.0.1:{port}"], "no TLS", 2)
    assert row["requests"] == {"3xx": 1, "4xx": 1}
    metrics = running.admin.metrics()
    assert found(metrics, "plexigate_connections_accepted_total", listener="plain") == 2
    assert found(metrics, "plexigate_failures_total", listener="plain", reason="no_route") == 1
    command = [PLEXIGATE, "status", "--socket", str(running.directory / "admin.sock")]
    shown = prepared.run(command).stdout
    assert "plain" in shown


def test_a_reload_opens_and_closes_its_addresses(running: Scene, port: int) -> None:
    command = [PLEXIGATE, "reload", "--config", str(running.path)]
    other = lasting_port()
    running.extra = plain(other) + "https_port = 8443\n"
    running.write()
    assert prepared.run(command).returncode == 0
    assert b"\r\nLocation: https://localhost:8443/x\r\n" in ask(other)
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    running.extra = ""
    running.write()
    assert prepared.run(command).returncode == 0
    with pytest.raises(ConnectionRefusedError):
        ask(other)


def shed(running: Scene) -> float:
    """How many silent connections were ended for others."""
    return found(running.admin.metrics(), "plexigate_failures_total", listener="plain", reason="shed_silent")


@pytest.mark.parametrize(("addresses", "silent"), [(ADDRESSES[:4], 256), (ADDRESSES[:1], 900), (ADDRESSES, 1_200)])
def test_silent_connections_lock_nobody_out(shared: Scene, shared_port: int, addresses: list[str], silent: int) -> None:
    before = shed(shared)
    with contextlib.ExitStack() as stack:
        for number in range(silent):
            source = addresses[number % len(addresses)]
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", shared_port), SECONDS, (source, 0)))
            if number % 3 == 0:
                with contextlib.suppress(ConnectionError):
                    sock.send(b"GET / HTTP/1.1\r\nHost: loc")
        waits = []
        for number in range(100):
            began = time.monotonic()
            source = addresses[0] if number % 4 == 0 else "127.0.0.1"
            assert ask(shared_port, source=source).startswith(b"HTTP/1.1 308 "), number
            waits.append(time.monotonic() - began)
    assert sorted(waits)[-2] < 1.0
    assert shed(shared) > before or silent == 256, "so many fit"
