"""Plexigate as a service: the test plays the service manager, which passes sockets and listens to what it is told."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import prepared
from tests.configurations import Site
from tests.hostile.client import Address, Client
from tests.programs import PLEXIGATE
from tests.service_manager import WATCHDOG_SECONDS, Manager, activation
from tests.soak.scenes import Scene, scene
from tests.waiting import is_alive, until_found

SECONDS = 10.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def responds(port: int, ca: Path) -> str:
    """Ask what the proxy answers by itself; answers which worker did."""
    with Client(Address(port, ca), "localhost") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        response = client.read_response()
    assert response.status == 421
    return response.values("X-Request-Id")[0].partition("-")[0]


def test_the_manager_is_told_what_the_service_does(manager: Manager, tmp_path: Path) -> None:
    with scene(tmp_path, prefix=["env", *manager.environment]) as running:
        assert manager.heard(1) == {"READY": "1", "STATUS": "serving with 2 workers"}
        responds(running.port, running.authority.path)

        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        running.extra = "[limits]\nbody_bytes = 5"
        running.write()
        running.signal(signal.SIGHUP)
        reloading = manager.heard(2)
        assert set(reloading) == {"RELOADING", "MONOTONIC_USEC"}
        assert before < int(reloading["MONOTONIC_USEC"]) < time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        assert manager.heard(3) == {"READY": "1", "STATUS": "serving with 2 workers, generation 2"}

        running.extra = "[limits]\nbody_bites = 5"
        running.write()
        running.signal(signal.SIGHUP)
        assert set(manager.heard(4)) == {"RELOADING", "MONOTONIC_USEC"}
        refused = manager.heard(5)
        assert refused["READY"] == "1"
        assert refused["STATUS"].startswith("the last reload was refused")
        assert refused["STATUS"].endswith("serving with 2 workers, generation 2")

        until_found(lambda: len(manager.signs) >= 3)
        running.signal(signal.SIGTERM)
        assert manager.heard(6) == {"STOPPING": "1"}
        until_found(lambda: not is_alive(running.running.pid))
    assert len(manager.states) == 6
    pauses = [after - before for before, after in zip(manager.signs, manager.signs[1:], strict=False)]
    assert max(pauses) < WATCHDOG_SECONDS


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process do nothing meanwhile: whatever is answered, another one did it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def serving(running: Scene) -> set[str]:
    """The workers that answer, each asked while the other one cannot."""
    answered = set()
    for pid in running.worker_pids:
        with stopped(pid):
            answered.add(responds(running.port, running.authority.path))
    return answered


def test_a_socket_of_the_manager_is_served_by_all_workers_and_outlives_them(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as public,
        socket.create_server(("127.0.0.1", 0)) as stray,
    ):
        prefix, descriptors = activation(public=public, stray=stray)
        with scene(tmp_path, prefix=prefix, descriptors=descriptors) as running:
            assert running.port == public.getsockname()[1]
            (unused,) = running.events("socket_unused")
            assert (unused["name"], unused["address"]) == ("stray", f"127.0.0.1:{stray.getsockname()[1]}")
            first = serving(running)
            assert len(first) == 2

            running.extra = "[limits]\nbody_bytes = 5"
            running.write()
            command = [PLEXIGATE, "reload", "--config", str(running.path)]
            assert prepared.run(command).returncode == 0
            assert serving(running) == first

            victim = running.worker_pids[0]
            os.kill(victim, signal.SIGKILL)
            assert responds(running.port, running.authority.path) in first
            until_found(lambda: running.events("worker_joined"))
            assert len(serving(running) & first) == 1

        # the service is unavailable: who comes now is served by the next one
        (again := tmp_path / "again").mkdir()
        with socket.create_connection(public.getsockname()) as early:
            prefix, descriptors = activation(public=public)
            with scene(again, prefix=prefix, descriptors=descriptors, workers=1):
                early.settimeout(SECONDS)
                early.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert early.recv(7)[0] == 21, "an alert: it speaks TLS"


@pytest.mark.parametrize(
    ("family", "found"),
    [
        (socket.AF_UNIX, "a socket of AF_UNIX, SOCK_STREAM"),
        (socket.AF_INET, "a socket of AF_INET, SOCK_STREAM, which does not listen"),
    ],
)
def test_a_socket_that_cannot_be_used_ends_with_a_sentence(
    tmp_path: Path, family: socket.AddressFamily, found: str
) -> None:
    site = Site.make(tmp_path)
    with socket.socket(family) as sock:
        prefix, descriptors = activation(public=sock)
        done = subprocess.run(
            [*prefix, PLEXIGATE, "run", str(site.write(site.minimal))],
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"plexigate: LISTEN_FDS: descriptor 3 (public): found {found}; allowed: ")
