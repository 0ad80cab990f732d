"""Real programs beside a test: started, waited for by what they print, always ended by their process id."""

import json
import os
import queue
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from tests import prepared, prepared_children

PLEXIGATE = prepared_children.PLEXIGATE
START_SECONDS = 30.0  # a browser on a busy machine
STOP_SECONDS = 10.0
LINE_SECONDS = 10.0

Ready = TypeVar("Ready")
Found = TypeVar("Found")


class NotReadyError(Exception):
    """A program ended, or printed nothing that was waited for in time; `output` is what it printed instead."""

    def __init__(self, command: Sequence[str], output: Sequence[str]) -> None:
        super().__init__(command, output)
        self.command = command
        self.output = output

    def __str__(self) -> str:
        return "\n".join([f"{' '.join(self.command)} did not become ready; it printed:", *self.output])


@dataclass(frozen=True, slots=True)
class Program(Generic[Ready]):
    """A running program: what its readiness line said, and every line that both its streams have printed so far."""

    pid: int
    ready: Ready
    output: list[str]
    printed: threading.Condition
    """Notified after each line."""

    def wait_for(self, find: Callable[[list[str]], Found | None]) -> Found:
        """Wait until `find` finds something in the output. Raises NotReadyError."""
        with self.printed:
            self.printed.wait_for(lambda: find(self.output) is not None, LINE_SECONDS)
            found = find(self.output)
        if found is None:
            raise NotReadyError([f"process {self.pid}"], self.output)
        return found


@contextmanager
def program(
    command: Sequence[str],
    ready: Callable[[str], Ready | None],
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> Iterator[Program[Ready]]:
    """Run `command` until the block ends. `ready` answers None for the lines before the one that is waited for.

    `environment` is added to ours, `descriptors` it inherits. Raises NotReadyError.
    """
    with (
        subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
        _reading(process, command, ready) as running,
    ):
        yield running


@contextmanager
def plexigate(
    configuration: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program[dict[str, list[str]]]]:
    """Run Plexigate until the block ends, without the time of its imports, see `tests.prepared`. Raises NotReadyError."""
    command = [PLEXIGATE, "run", str(configuration)]
    if not prepared.is_possible(environment):
        with program(command, plexigate_listeners, environment) as running:
            yield running
        return
    process = prepared.start(command, environment or {})
    with closing(process), _reading(process, command, plexigate_listeners) as running:
        yield running


@contextmanager
def _reading(
    process: "subprocess.Popen[str] | prepared.PreparedProcess",
    command: Sequence[str],
    ready: Callable[[str], Ready | None],
) -> Iterator[Program[Ready]]:
    output: list[str] = []
    lines: queue.Queue[str | None] = queue.Queue()
    printed = threading.Condition()
    assert process.stdout is not None
    reader = threading.Thread(target=_read_lines, args=(process.stdout, output, lines, printed), daemon=True)
    reader.start()
    try:
        yield Program(process.pid, _first_ready(command, ready, lines, output), output, printed)
    finally:
        end(process)
        reader.join()


def chat_address(line: str) -> str | None:
    """Where the demo chat listens (`HOST:PORT` or `unix:PATH`), if this is its readiness line."""
    found = re.fullmatch(r"chat: ready on (\S+)", line)
    return found and found[1]


def plexigate_listeners(line: str) -> dict[str, list[str]] | None:
    """The addresses that each listener of `plexigate run` got, if this is its readiness line (log format json)."""
    if not line.startswith("{"):
        return None
    entry = json.loads(line)
    listeners: dict[str, list[str]] | None = entry["listeners"] if entry.get("event") == "ready" else None
    return listeners


def _read_lines(
    stream: IO[str], output: list[str], lines: "queue.Queue[str | None]", printed: threading.Condition
) -> None:
    """Drain the stream for as long as the program lives, so that it never blocks on a full pipe.

    Modules of PKCS#11 print to it too, in pieces: an entry of the log behind such a piece is a line of its own.
    """
    for line in stream:
        remark, begins, rest = line.rstrip("\n").partition('{"time"')
        said = [remark, begins + rest] if remark and begins else [remark + begins + rest]
        with printed:
            output += said
            printed.notify_all()
        for one in said:
            lines.put(one)
    lines.put(None)


def _first_ready(
    command: Sequence[str], ready: Callable[[str], Ready | None], lines: "queue.Queue[str | None]", output: list[str]
) -> Ready:
    try:
        while (line := lines.get(timeout=START_SECONDS)) is not None:
            if (answer := ready(line)) is not None:
                return answer
    except queue.Empty:
        pass
    raise NotReadyError(command, output)


def end(process: "subprocess.Popen[str] | subprocess.Popen[bytes] | prepared.PreparedProcess") -> None:
    """Ask a process to end, and end it when it takes too long."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
