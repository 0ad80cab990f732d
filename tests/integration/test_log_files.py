"""The file of the log, written by a parent and two workers: renamed under load, too slow, on a full disk."""

import fcntl
import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client
from tests.integration.admin import found
from tests.integration.stage import Site, Upstream, request, write_configuration
from tests.integration.upstreams import backends
from tests.log_files import entries
from tests.programs import PLEXIGATE, START_SECONDS, Program, end
from tests.waiting import until_found

# The kernel spreads so many connections over both workers, but for a chance of 2**-15.
CLIENTS = 16
DROPPED = "plexigate_log_lines_dropped_total"


class Stage:
    """Starts proxies with two workers whose log goes to a file."""

    def __init__(self, directory: Path, authority: Authority, localhost: CertificateFiles) -> None:
        self.directory = directory
        self._authority = authority
        self._localhost = localhost

    @contextmanager
    def proxy(self, log: Path, lines: Callable[[], list[dict[str, Any]]], extra: str = "") -> Iterator[Site]:
        """Run one; `lines` are those that its log has so far. Nothing goes to the terminal."""

        def ready() -> dict[str, list[str]] | None:
            return next((line["listeners"] for line in lines() if line.get("event") == "ready"), None)

        with backends(1) as (server,):
            text = f'[log]\nfile = "{log}"\n{extra}'
            upstreams = {"chat": Upstream((server.url,))}
            configuration = write_configuration(self.directory, self._localhost, upstreams, text, workers=2)
            command = [PLEXIGATE, "run", str(configuration)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                try:
                    listeners = until_found(ready, START_SECONDS)
                    assert listeners is not None  # found
                    program = Program(process.pid, listeners, [], threading.Condition())
                    yield Site(program, self._authority.path, configuration)
                finally:
                    end(process)
                assert process.stdout is not None
                assert (process.stdout.read(), process.returncode) == ("", 0)


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Stage:
    return Stage(tmp_path, authority, localhost)


@contextmanager
def crowd(proxy: Site) -> Iterator[list[Client]]:
    """Connections in both workers."""
    with ExitStack() as stack:
        yield [stack.enter_context(proxy.connect()) for _ in range(CLIENTS)]


def ask(clients: list[Client], number: int) -> list[str]:
    """Have each of them ask once; answers the paths, which no other number has."""
    paths = [f"/chat/{number}/{client}" for client in range(len(clients))]
    for client, path in zip(clients, paths, strict=True):
        client.send(request(start=f"GET {path} HTTP/1.1"))
        assert client.read_response().status == 200
    return paths


def writers(lines: list[dict[str, Any]]) -> set[str]:
    """The workers that wrote them."""
    return {line["request_id"].partition("-")[0] for line in lines if "path" in line}


def paths_in(lines: list[dict[str, Any]]) -> list[str]:
    """What was asked for."""
    return [line["path"] for line in lines if "path" in line]


def test_no_line_is_lost_when_the_file_is_renamed(stage: Stage) -> None:
    """As logrotate does it, three times while requests are answered."""
    path = stage.directory / "access.log"
    asked: list[str] = []
    with stage.proxy(path, lambda: entries(path)) as proxy, crowd(proxy) as clients:
        for turn in range(4):
            for number in range(10):
                asked += ask(clients, 100 * turn + number)
            until_found(lambda: len(writers(entries(path))) == 2)
            if turn < 3:
                path.rename(path.with_suffix(f".{turn}"))
                os.kill(proxy.pid, signal.SIGUSR1)
                asked += ask(clients, 100 * turn + 99)
                until_found(path.exists)
    files = [entries(path.with_suffix(f".{turn}")) for turn in range(3)] + [entries(path)]
    assert sorted(one for lines in files for one in paths_in(lines)) == sorted(asked)
    assert files[0][-1].get("event") != "stopped"
    assert files[-1][-1]["event"] == "stopped", "the parent"


class Pipe:
    """A file that takes little, and more only when somebody reads."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, 4_096)
        self._data = b""

    def lines(self) -> list[dict[str, Any]]:
        """All that has come so far; takes it out."""
        with suppress(BlockingIOError):
            while True:
                self._data += os.read(self.descriptor, 65_536)
        return [json.loads(line) for line in self._data.splitlines(keepends=True) if line.endswith(b"\n")]

    def close(self) -> None:
        """Let it go."""
        os.close(self.descriptor)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Path, Pipe]]:
    path = tmp_path / "slow.log"
    pipe = Pipe(path)
    yield path, pipe
    pipe.close()


def move_log(proxy: Site, before: Path, after: Path) -> None:
    """Reload with the log at another place."""
    text = proxy.configuration.read_text()
    assert str(before) in text
    proxy.configuration.write_text(text.replace(str(before), str(after)))
    done = proxy.command("reload")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_slow_disk_and_a_full_one_cost_lines_and_nothing_else(stage: Stage, slow: tuple[Path, Pipe]) -> None:
    path, pipe = slow
    full, good = Path("/dev/full"), stage.directory / "good.log"
    with (
        stage.proxy(path, pipe.lines, "[limits]\nlog_queue_lines = 10\n") as proxy,
        crowd(proxy) as clients,
    ):
        metrics = proxy.admin.metrics
        assert found(metrics(), DROPPED) == 0
        for number in range(10):
            ask(clients, number)
        dropped = found(metrics(), DROPPED)
        assert dropped > 0
        assert found(metrics(), "plexigate_log_errors_total") == 0
        until_found(lambda: [line for line in pipe.lines() if line.get("event") == "log_lines_lost"])

        move_log(proxy, path, full)
        numbers = itertools.count(1_000)

        def loses_all() -> bool:
            """Whether the lines of a round are lost; a write to the slow one that is in flight comes to its end first."""
            before, paths = found(metrics(), DROPPED), set(ask(clients, next(numbers)))
            return (
                until_found(
                    lambda: (
                        "lost" if found(metrics(), DROPPED) >= before + CLIENTS else paths & set(paths_in(pipe.lines()))
                    )
                )
                == "lost"
            )

        until_found(loses_all)
        assert found(metrics(), "plexigate_log_errors_total") > 0

        move_log(proxy, full, good)

        def is_logged() -> bool:
            """Whether a round is in the file: the queues may still be full of lines from before it."""
            before, paths = found(metrics(), DROPPED), set(ask(clients[:2], next(numbers)))
            until_found(lambda: paths <= set(paths_in(entries(good))) or found(metrics(), DROPPED) > before)
            return paths <= set(paths_in(entries(good)))

        until_found(is_logged)
        until_found(lambda: [line for line in entries(good) if line.get("event") == "log_lines_lost"])
        assert len(proxy.worker_pids) == 2
        assert proxy.admin.status()["worker_restarts"] == 0
