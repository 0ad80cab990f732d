"""A process that has imported what a program imports, and becomes it in a child: most of a start is imports.

For tests that are not about the start: the program is the same from its `main` on, its workers are started as ever, and what it does
on the way to `main` is in `tests/integration/test_process_startup.py`. `/proc/PID/cmdline` shows another command.

`python -m tests.prepared PROGRAM DESCRIPTOR` is that process: it ends when the other end of the socket is closed.
"""

import atexit
import contextlib
import gc
import io
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

from tests import prepared_children

_LARGEST: Final = 1 << 20
_ALIEN: Final = ("GLIBC", *prepared_children.ALIEN)
_TURN: Final = threading.Lock()
_OWN: Final[list[Mapping[str, str]]] = []
_Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""A program, the namespace of mounts that a test has entered, whose children are in there too, and further variables."""
_ASKED: Final[dict[_Key, tuple[socket.socket, "subprocess.Popen[bytes]"]]] = {}


class ProgramName(StrEnum):
    """What a prepared process becomes."""

    PLEXIGATE = "plexigate"
    SIGNER = "signer"
    """`tests/hsm/signing_process.py`."""


class PreparedProcess:
    """A child of the prepared process, with what is used of a `Popen`."""

    def __init__(self, pid: int, watch: int, stdout: IO[str]) -> None:
        """`watch` is a pidfd."""
        self.pid = pid
        self.stdout = stdout
        self._watch = watch

    def terminate(self) -> None:
        """Ask it to end."""
        self._tell(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._tell(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        poll = select.poll()
        poll.register(self._watch, select.POLLIN)
        if timeout is not None and not poll.poll(timeout * 1_000):
            raise subprocess.TimeoutExpired("plexigate", timeout)
        poll.poll()

    def close(self) -> None:
        """Forget it."""
        self.stdout.close()
        os.close(self._watch)

    def _tell(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._watch, number)


def is_possible(environment: Mapping[str, str] | None) -> bool:
    """Whether a program with these further variables is the same as one that is started."""
    return not prepared_children.REFUSED and (
        bool(_own(environment)) or not any(name.startswith(_ALIEN) for name in environment or ())
    )


@contextmanager
def with_own(environment: Mapping[str, str]) -> Iterator[None]:
    """Prepare a process with these further variables, for the programs that have them until the block ends."""
    _OWN.append(environment)
    try:
        yield
    finally:
        _OWN.remove(environment)
        _end([key for key in _ASKED if key[2] == tuple(environment.items())])


def _own(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    return next((one for one in _OWN if one.items() <= (environment or {}).items()), {})


def start(command: Sequence[str], environment: Mapping[str, str]) -> PreparedProcess:
    """Have `command`, which begins with the program's path, run with `environment` in addition to ours."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb"):
        pid, watch = _started(ProgramName.PLEXIGATE, command, environment, None, writing, writing)
    return PreparedProcess(pid, watch, os.fdopen(reading, encoding="utf-8"))


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, timeout: float = 60, *, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command that ends by itself, as `subprocess.run` does. Raises `subprocess.TimeoutExpired`.

    `typed` is its standard input.
    """
    if not is_possible(environment):
        variables = {**os.environ, **(environment or {})}
        return subprocess.run(
            command, env=variables, input=typed, capture_output=True, text=True, timeout=timeout, check=False
        )
    with TemporaryFile() as stdin, TemporaryFile() as output, TemporaryFile() as errors:
        stdin.write(typed.encode())
        stdin.seek(0)
        with _watched(ProgramName.PLEXIGATE, command, environment or {}, stdin, output, errors) as ended:
            code = ended(timeout)
        said, complained = (_all_of(one) for one in (output, errors))
    return subprocess.CompletedProcess(command, code, said, complained)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A program that is asked on its standard input and answers on its standard output, in lines."""

    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[bytes]
    ended: Callable[[float], int]
    """Wait that many seconds for its end. Answers its exit status. Raises `subprocess.TimeoutExpired`."""


@contextmanager
def converse(name: ProgramName, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Conversation]:
    """Have a program run until the block ends."""
    questions, answers = os.pipe(), os.pipe()
    with (
        os.fdopen(questions[0]) as theirs,
        os.fdopen(questions[1], "w", encoding="utf-8") as stdin,
        os.fdopen(answers[0], encoding="utf-8") as stdout,
        os.fdopen(answers[1], "w") as output,
        TemporaryFile() as errors,
        _watched(name, command, environment, theirs, output, errors) as ended,
    ):
        theirs.close()
        output.close()
        yield Conversation(stdin, stdout, errors, ended)


@contextmanager
def _watched(
    name: ProgramName,
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: IO[Any] | None,
    stdout: IO[Any],
    stderr: IO[Any],
) -> Iterator[Callable[[float], int]]:
    """Start a program; it is killed if it still runs when the block ends."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="ascii") as status:
        with os.fdopen(writing, "wb"):
            pid, watch = _started(name, command, environment, stdin, stdout.fileno(), stderr.fileno(), writing)
        with closing(PreparedProcess(pid, watch, io.StringIO())) as process:

            def ended(timeout: float) -> int:
                process.wait(timeout)
                return int(status.read())

            try:
                yield ended
            finally:
                process.kill()


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _started(
    name: ProgramName, command: Sequence[str], environment: Mapping[str, str], stdin: IO[Any] | None, *outputs: int
) -> tuple[int, int]:
    request = json.dumps([list(command), {**os.environ, **environment}, str(Path.cwd())])
    with _TURN, Path(os.devnull).open("rb") as nothing:
        key = name, str(Path("/proc/thread-self/ns/mnt").readlink()), tuple(_own(environment).items())
        if key not in _ASKED:
            _ASKED[key] = _prepare(name, dict(key[2]))
        asked, _ = _ASKED[key]
        socket.send_fds(asked, [request.encode()], [(stdin or nothing).fileno(), *outputs])
        answer, (watch,), _, _ = socket.recv_fds(asked, _LARGEST, 1)
    return int(answer), watch


def _prepare(name: ProgramName, environment: Mapping[str, str]) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    from proxy.supervisor.workers.process import worker_environment  # a prepared process imports what it becomes

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        for one in (ours, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        command = [sys.executable, "-m", "tests.prepared", name, str(theirs.fileno())]
        variables = worker_environment({**os.environ, **environment})
        return ours, subprocess.Popen(command, env=variables, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)


def _end(keys: Iterable[_Key]) -> None:
    for key in keys:
        asked, process = _ASKED.pop(key)
        asked.close()
        process.wait()


atexit.register(lambda: _end(list(_ASKED)))


# -- in the prepared process


def _plexigate() -> Callable[[], None]:
    prepared_children.prepare()
    return prepared_children.become_program


def _signer() -> Callable[[], None]:
    from tests.hsm.signing_process import main

    return main


_PREPARED: Final = {ProgramName.PLEXIGATE: _plexigate, ProgramName.SIGNER: _signer}


def _serve(asked: socket.socket) -> None:
    """Answer until the other end is closed; return in a child, which is to become the program."""
    watched = selectors.DefaultSelector()
    watched.register(asked, selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.fileobj is not asked:
                watched.unregister(key.fileobj)
                os.close(key.fd)
                pid, statuses = key.data
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                for status in statuses:
                    with contextlib.suppress(BrokenPipeError):  # a test that has failed waits for nothing
                        os.write(status, str(code).encode())
                    os.close(status)
                continue
            request, descriptors, _, _ = socket.recv_fds(asked, _LARGEST, 4)
            if not request:
                sys.exit()
            pid = os.fork()
            if not pid:
                watched.close()
                _become(json.loads(request), descriptors)
                return
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            watch = os.pidfd_open(pid)
            socket.send_fds(asked, [str(pid).encode()], [watch])
            watched.register(watch, selectors.EVENT_READ, (pid, descriptors[3:]))


def _become(request: tuple[list[str], dict[str, str], str], descriptors: Sequence[int]) -> None:
    command, environment, directory = request
    for to, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, to)
    os.closerange(3, 1_024)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = list(command)
    sys.orig_argv = [sys.executable, *command]


def main() -> None:
    """Prepare, answer, and in each child become the program."""
    become = _PREPARED[ProgramName(sys.argv[1])]()
    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=int(sys.argv[2]))
    _serve(asked)
    asked.detach()
    become()


if __name__ == "__main__":
    main()
