"""Servers that an operator drains and that the parent checks: all workers act on it, those too that come later."""

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, serving, write_configuration
from tests.integration.upstreams import Backend, backends
from tests.ports import lasting_port
from tests.waiting import until_found

# The kernel spreads so many connections over both workers, but for a chance of 2**-15.
REQUESTS = 16


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> "Stage":
    return Stage(tmp_path, authority, localhost)


class Stage:
    """Starts proxies with two workers in front of the servers of a test."""

    def __init__(self, directory: Path, authority: Authority, localhost: CertificateFiles) -> None:
        self.directory = directory
        self.authority = authority
        self._localhost = localhost

    @contextmanager
    def proxy(self, urls: Sequence[str], settings: str = "") -> Iterator[Site]:
        """Run one, whose requests go to the servers in turn."""
        upstreams = {"chat": Upstream(tuple(urls), f'balance = "round-robin"\n{settings}')}
        configuration = write_configuration(self.directory, self._localhost, upstreams, workers=2)
        with serving(configuration, self.authority) as running:
            yield running

    def open_socket(self, proxy: Site) -> ClientConnection:
        """A WebSocket through the proxy."""
        url, context = proxy.url("/chat/socket", scheme="wss"), self.authority.client_context()
        try:
            return connect(url, ssl=context, proxy=None, ping_interval=None)
        except (
            TimeoutError
        ):  # this client misses the answer once in several hundred times (on Python 3.13 and 3.11 alike)
            return connect(url, ssl=context, proxy=None, ping_interval=None)


def answered(proxy: Site, count: int = REQUESTS) -> Counter[str]:
    """Which servers answer, each request on a connection of its own."""
    answers: Counter[str] = Counter()
    for _ in range(count):
        with proxy.session() as session:
            answer = session.get(proxy.url("/chat/x"))
            assert answer.status_code == 200
            answers[answer.text] += 1
    return answers


def states(proxy: Site, server: str) -> dict[str, int]:
    """State -> how many workers see a server in it."""
    return {state: count for state, count in proxy.admin.server_states("chat")[server].items() if count}


def events(proxy: Site, *names: str) -> list[dict[str, Any]]:
    """What the log says of these so far."""
    entries = [json.loads(line) for line in list(proxy.program.output) if line.startswith("{")]
    return [entry for entry in entries if entry.get("event") in names]


def command(proxy: Site, *words: str) -> str:
    """What a command says, which must succeed."""
    completed = proxy.command(*words)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


class TestDrain:
    """`plexigate drain` and `plexigate undrain`."""

    def test_server_is_left_out_by_all_workers_until_it_is_brought_back(self, stage: Stage) -> None:
        with backends(2) as two, stage.proxy([one.url for one in two]) as proxy, stage.open_socket(proxy) as chat:
            chat.send("hello")
            assert chat.recv(10) == "hello"
            (drained,) = [one.url for one in two if one.sockets]
            (other,) = [one.url for one in two if not one.sockets]
            refused = proxy.command("drain", "chat", "http://127.0.0.1:1")
            assert (refused.returncode, refused.stdout) == (1, "")
            assert drained in refused.stderr, "it says which there are"

            assert command(proxy, "drain", "chat", drained, "--seconds", "600") == (
                f"{drained} of upstream chat gets no new requests.\n"
            )
            assert states(proxy, drained) == {"draining": 1, "drained": 1}, "the WebSocket is in one worker"
            assert answered(proxy) == {other: REQUESTS}
            chat.send("still here")
            assert chat.recv(10) == "still here"

            self.change_the_limits(proxy)
            command(proxy, "reload")
            self.replace_the_other_worker(proxy)
            assert answered(proxy) == {other: REQUESTS}
            chat.send("still here")
            assert chat.recv(10) == "still here"

            # there is less time than was said at first
            began = time.monotonic()
            command(proxy, "drain", "chat", drained, "--seconds", "0.5")
            with pytest.raises(ConnectionClosed):
                chat.recv(10)
            assert chat.close_code == 1012
            assert time.monotonic() - began > 0.5
            until_found(lambda: states(proxy, drained) == {"drained": 2})
            assert answered(proxy) == {other: REQUESTS}

            assert command(proxy, "undrain", "chat", drained) == (f"{drained} of upstream chat gets requests again.\n")
            assert set(answered(proxy)) == {drained, other}
            assert states(proxy, drained) == {"up": 2}
            # the log collects its lines for a moment: a command may be answered before its line is written
            until_found(lambda: events(proxy, "server_undrained"))
            told = events(proxy, "server_draining", "server_undrained")
            assert [entry["event"] for entry in told] == ["server_draining", "server_draining", "server_undrained"]
            assert {entry["server"] for entry in told} == {drained}

    def change_the_limits(self, proxy: Site) -> None:
        with proxy.configuration.open("a") as file:
            file.write("[limits]\nbody_bytes = 5\n")

    def replace_the_other_worker(self, proxy: Site) -> None:
        """The one without the WebSocket crashes."""
        (victim,) = [one["pid"] for one in proxy.admin.status()["workers"] if not sum(one["connections"].values())]
        os.kill(victim, signal.SIGKILL)
        until_found(lambda: events(proxy, "worker_joined"))


@contextmanager
def silent_server() -> Iterator[str]:
    """A server whose host takes no more connections: who dials waits for nothing."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(2):  # its queue is full, and what comes now is not even refused
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0)
            sock.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class TestHealth:
    """Active checks, made by the parent."""

    SETTINGS = (
        '[upstream.chat.health]\npath = "/healthz"\ninterval = "100ms"\njitter = 0.0\ntimeout = "500ms"\n'
        "rise = 3\nfall = 3\n"
    )

    def checked(self, backend: Backend, *answers: int) -> None:
        """Have these answers be given to checks, and some more of the last one, but not enough to decide anything."""
        backend.health_answers.extend(answers)
        until_found(lambda: not backend.health_answers)
        seen = backend.checks
        until_found(lambda: backend.checks > seen)

    def test_server_goes_by_fall_and_comes_back_by_rise(self, stage: Stage) -> None:
        with (
            backends(2) as (sick, well),
            stage.proxy([sick.url, well.url], self.SETTINGS) as proxy,
        ):
            until_found(lambda: len(events(proxy, "server_up")) == 2)
            assert set(answered(proxy)) == {sick.url, well.url}
            self.checked(sick, 500, 500)
            assert events(proxy, "server_down") == []
            assert set(answered(proxy)) == {sick.url, well.url}

            sick.health = 500
            (down,) = until_found(lambda: events(proxy, "server_down"))
            assert (down["upstream"], down["server"]) == ("chat", sick.url)
            until_found(lambda: states(proxy, sick.url) == {"down": 2})
            assert answered(proxy) == {well.url: REQUESTS}
            self.checked(sick, 200, 200)
            assert states(proxy, sick.url) == {"down": 2}
            assert answered(proxy) == {well.url: REQUESTS}

            sick.health = 200
            until_found(lambda: len(events(proxy, "server_up")) == 3)
            until_found(lambda: states(proxy, sick.url) == {"up": 2})
            assert set(answered(proxy)) == {sick.url, well.url}
            assert len(events(proxy, "server_down")) == 1

    def test_with_all_of_them_down_it_says_so_at_once(self, stage: Stage) -> None:
        port = lasting_port()
        refusing = f"http://127.0.0.1:{port}"
        with backends(1) as (sick,), silent_server() as silent:
            sick.health = 500
            with stage.proxy([refusing, sick.url, silent], self.SETTINGS) as proxy:
                until_found(lambda: len(events(proxy, "server_down")) == 3)
                until_found(lambda: all(states(proxy, url) == {"down": 2} for url in (refusing, sick.url, silent)))
                began = time.monotonic()
                for _ in range(8):
                    with proxy.session() as session:
                        refused = session.get(proxy.url("/chat/x"))
                    assert refused.status_code == 503
                    assert int(refused.headers["Retry-After"]) >= 1
                assert time.monotonic() - began < 2.0, "nobody was dialled: that takes 5 s to fail"
                assert sick.requests == 0
                with backends(1, at=port) as (back,):
                    until_found(lambda: states(proxy, refusing) == {"up": 2})
                    assert answered(proxy) == {back.url: REQUESTS}
