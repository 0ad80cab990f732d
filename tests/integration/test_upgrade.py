"""An upgrade in place under load: no connection is refused, no request fails, WebSockets end only by the drain."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from certs.storage.lock import StateInUse, StateLock
from tests import prepared
from tests.hostile.client import Address, Client
from tests.integration.stage import workers_of
from tests.programs import PLEXIGATE, START_SECONDS
from tests.soak.h2_load import browse_h2
from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import Scene, scene
from tests.upgrades import IS_READY, SERVES, other_version, speaker, this_version, upgrade
from tests.waiting import is_alive, until_found

DRAIN_SECONDS = 1
CROWD = Crowd(keeping=2, connecting=2, sockets=8, message_seconds=0.2, think_seconds=0.05, comes_again=True)
H2 = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp = ["h2", "http/1.1"]'
EXTRA = f'[limits]\ndrain_timeout = "{DRAIN_SECONDS}s"\n'
FAILING = (
    ("sys.exit(3)", "preparing", "it ended with status 3"),
    (IS_READY + 'wait("take")\nsys.exit(5)', "proving", "it ended with status 5"),
    (SERVES + "sys.exit(6)", "proving", "it ended with status 6"),
)


@contextmanager
def upgradable(directory: Path, **settings: Any) -> Iterator[Scene]:
    """A scene whose parent may be another process at the end."""
    with scene(directory, listener=H2, **{"extra": EXTRA, **settings}) as running:
        try:
            yield running
        finally:
            for pid in parents(running):
                os.kill(pid, signal.SIGTERM)
            for pid in parents(running):
                until_found(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]


def parents(running: Scene) -> list[int]:
    """The processes that upgrades have started and that live."""
    return [one["pid"] for one in running.events("upgrade") if is_alive(one["pid"])]


def test_upgrade_to_another_version_and_back_is_not_noticed(tmp_path: Path) -> None:
    newer, older = other_version(tmp_path, "9.9.9"), this_version(tmp_path)

    def act(tally: Tally) -> None:
        first, workers = running.running.pid, running.worker_pids
        running.workers = 3
        running.write()
        told = upgrade(running.path, "--program", str(newer))
        assert (told.status, told.last.get("version")) == (0, "9.9.9"), told
        status = running.admin.status()
        assert status["version"] == "9.9.9"
        assert set(status["former_workers"]) <= set(workers)
        assert len(status["workers"]) == 3
        until_found(lambda: not is_alive(first))
        until_found(lambda: not any(map(is_alive, workers)))
        assert running.admin.status()["former_workers"] == []
        until_found(lambda: tally.closes.total() >= CROWD.sockets)
        running.workers = 1
        running.write()
        told = upgrade(running.path, "--program", str(older))
        assert (told.status, told.last.get("version")) == (0, "0.1.0"), told
        until_found(lambda: len(parents(running)) == 1)
        assert len(workers_of(told.last["pid"])) == 1

    with upgradable(tmp_path) as running:
        tally = asyncio.run(
            under_load(
                running.port,
                running.client,
                CROWD,
                lambda tally: asyncio.to_thread(act, tally),
                [browse_h2, browse_h2],
            )
        )
        assert running.events("error", "worker_ended", "worker_failed", "upgrade_failed") == []
    assert [failure for failure in tally.failures if not failure.startswith("a stall of ")] == []
    assert {close.partition(" ")[0] for close in tally.closes} == {"1012"}
    assert tally.requests > 500


def test_a_program_that_fails_is_not_noticed_either(tmp_path: Path) -> None:
    def act(tally: Tally) -> None:
        del tally
        for text, phase, reason in FAILING:
            told = upgrade(running.path, "--program", str(speaker(tmp_path, "new", text)), "--timeout", "5")
            assert (told.status, told.last["phase"]) == (1, phase), told
            assert reason in told.last["reason"]
        running.extra = f"{EXTRA}body_bites = 5\n"
        running.write()
        told = upgrade(running.path)
        assert [one["key"] for one in told.last["problems"]] == ["limits.body_bites"], told
        assert told.last["reason"] == "the configuration cannot be used by the new program"
        until_found(lambda: running.admin.status()["upgrade"] is None)

    with upgradable(tmp_path) as running:
        pids = running.worker_pids
        tally = asyncio.run(
            under_load(
                running.port, running.client, CROWD, lambda tally: asyncio.to_thread(act, tally), [browse_h2, browse_h2]
            )
        )
        assert running.worker_pids == pids
        assert len(running.events("upgrade_failed")) == len(FAILING) + 1
        assert running.events("error", "worker_ended") == []
        assert [one["kind"] for one in running.admin.status()["alerts"]] in ([], ["upgrade_failed"])
    assert [failure for failure in tally.failures if not failure.startswith("a stall of ")] == []
    assert tally.closes == {}


class Begun:
    """An upgrade by the installed program, up to the moment when the new workers serve."""

    def __init__(self, running: Scene) -> None:
        self.running = running
        self._command = subprocess.Popen(
            [PLEXIGATE, "upgrade", "--json", "--config", str(running.path)], stdout=subprocess.PIPE, text=True
        )
        count = len(running.events("upgrade_serving"))
        deadline = time.monotonic() + START_SECONDS
        while len(running.events("upgrade_serving")) == count:  # a command and a proxy start, on a busy machine
            assert time.monotonic() < deadline, running.running.output
            time.sleep(0.02)
        self.pid: int = running.events("upgrade_serving")[-1]["pid"]

    def outcome(self) -> tuple[int, dict[str, Any]]:
        """The status of the command, and its last step."""
        output, _ = self._command.communicate(timeout=30)
        return self._command.returncode, json.loads(output.splitlines()[-1])


def asked(running: Scene) -> int:
    """The status of a request on a new connection."""
    with Client(Address(running.port, running.authority.path), "localhost") as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.read_response().status


def test_the_old_version_serves_again_when_the_new_one_dies_or_is_ended_while_it_serves(tmp_path: Path) -> None:
    with upgradable(tmp_path) as running:
        pids = running.worker_pids
        for number, reasons in (
            (signal.SIGKILL, {"it ended with signal 9"}),
            (signal.SIGTERM, {"it ended with status 0", "it closed the connection"}),
            (signal.SIGSTOP, {"1 of its 2 workers answer: its log says why"}),
        ):
            begun = Begun(running)
            assert {asked(running) for _ in range(10)} == {200}
            os.kill(workers_of(begun.pid)[0] if number is signal.SIGSTOP else begun.pid, number)
            if number is signal.SIGTERM:  # with the other one, the connections of the new workers are cut
                assert {asked(running) for _ in range(10)} == {200}
            status, last = begun.outcome()
            assert {asked(running) for _ in range(10)} == {200}
            assert (status, last["phase"]) == (1, "proving")
            assert last["reason"] in reasons
            until_found(lambda: running.admin.status()["upgrade"] is None)
            until_found(partial(_has_ended, begun.pid))  # the outcome is told before it is ended
        assert {pid for pid in running.worker_pids if pid in pids} == set(pids)


def _has_ended(pid: int) -> bool:
    return not is_alive(pid)


def test_the_proxy_ends_when_it_is_told_to_in_the_middle_of_an_upgrade(tmp_path: Path) -> None:
    with upgradable(tmp_path) as running:
        begun = Begun(running)
        assert running.admin.ask("/reload", "-X", "POST")[0] == 409
        running.signal(signal.SIGTERM)
        status, last = begun.outcome()
        assert (status, last["reason"], last["serves"]) == (1, "a shutdown was requested", False)
        until_found(lambda: not is_alive(running.running.pid) and not is_alive(begun.pid))
        assert [one["event"] for one in running.events("upgrade_stopped", "upgrade_failed")] == ["upgrade_stopped"]


def test_what_the_proxy_keeps_goes_on(tmp_path: Path) -> None:
    (state := tmp_path / "state").mkdir(mode=0o700)
    extra = f'{EXTRA}[audit]\nfile = "audit.jsonl"\n[rotation]\nstate = "{state}"\n'

    def command(*words: str) -> str:
        done = prepared.run([PLEXIGATE, *words, "--config", str(running.path)])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def visit(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", running.port)) as sock,
            client.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            tls.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert tls.recv(100).startswith(b"HTTP/1.1 503")
            return bool(tls.session_reused), tls.session

    with upgradable(tmp_path, extra=extra, servers=("127.0.0.1", "127.0.0.2")) as running:
        client = running.client
        command("maintenance", "on", "localhost/")
        command("drain", "backend", running.server("127.0.0.2"))
        _, session = visit(None)
        counted = sum(running.admin.status()["listeners"][0]["requests"].values())
        assert counted > 0
        told = upgrade(running.path)
        assert told.status == 0, told
        assert sum(running.admin.status()["listeners"][0]["requests"].values()) == counted
        assert [one.get("step") for one in told.steps[1:4]] == ["greeted", "configured", "ready"]
        for worker in workers_of(told.last["pid"]) if os.geteuid() == 0 else ():  # root alone may look
            place = Path(f"/proc/{worker}/fd/2").readlink()
            assert "memfd" not in str(place), "what a worker writes as it crashes is lost"
        assert {visit(session)[0] for _ in range(6)} == {True}
        assert running.admin.server_states("backend")[running.server("127.0.0.2")].keys() <= {"draining", "drained"}
        assert [one["route"] for one in running.admin.status()["maintenance"]] == ["localhost/"]
        with pytest.raises(StateInUse):
            StateLock.acquire(state)
        command("maintenance", "off", "localhost/")
        assert asked(running) == 200
        (pid,) = parents(running)
        os.kill(pid, signal.SIGTERM)
        until_found(lambda: not is_alive(pid))
        StateLock.acquire(state).release()
        words = [PLEXIGATE, "audit", "verify", str(tmp_path / "audit.jsonl")]
        verified = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "Intact, " in verified.stdout, verified
