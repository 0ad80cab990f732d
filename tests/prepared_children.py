"""The children of a prepared program, forked as well: workers, what looks at tokens, and the program that an upgrade starts. Most of
their start is imports, too. So are the commands that a test starts as its own children.

The program asks a process that was forked off before its `main`, and so has nothing of it: no secret, no descriptor, no thread. Each
child becomes the program's own, which waits for it, and is set up as `subprocess` does. `/proc/PID/comm` shows its name, and
`/proc/PID/cmdline` another command.
"""

import atexit
import contextlib
import ctypes
import fcntl
import gc
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from unittest import mock

from config.values.kinds import Table

WORKER: Final = b"worker"
"""What `/proc/PID/comm` shows of one."""
_CHECK: Final = b"check"
_MAINS: Final = {
    "certs.hsm.process.token_process": ("main", b"tokens"),
    "proxy.commands.check": ("_main", _CHECK),
    "proxy.worker.entry": ("main", WORKER),
}
PLEXIGATE: Final = str(Path(sys.executable).with_name("plexigate"))
_PROGRAM: Final = b"plexigate"
_ARRANGED: Final = {
    *(
        "bufsize",
        "cwd",
        "encoding",
        "env",
        "errors",
        "pass_fds",
        "start_new_session",
        "stderr",
        "stdin",
        "stdout",
        "text",
    ),
}
"""What may be asked of `subprocess` for the program: a test that asks for more has it started."""
_TUNABLES: Final = "GLIBC_TUNABLES"
_SOCKETS: Final = "LISTEN_FDS"
"""A program with this variable gets its descriptors as a service manager passes them, see sd_listen_fds(3)."""
ALIEN: Final = ("LD_", "MALLOC", "OPENSSL", "PYTHON")
"""What is read before `main`, or by libraries when they are loaded."""
_BEFORE: Final = {name: value for name, value in os.environ.items() if name.startswith(ALIEN)}
REFUSED: Final[list[bool]] = []
_LARGEST: Final = 1 << 17
_MADV_POPULATE_READ: Final = 22
# Numbers of prctl(2).
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36


def prepare() -> None:
    """Import what the program and its children do."""
    import ssl  # noqa: F401 - as the program's `main` does

    for name in ("cli", "run_and_check", "start", "terminal.output", "terminal.plain_values", "run"):
        import_module(f"proxy.commands.{name}")
    for name in _MAINS:
        import_module(name)
    _build_schemas(Table)


def _build_schemas(table: type[Table]) -> None:
    """Do once what the first reading of a configuration does in each process."""
    table.model_rebuild()
    for further in table.__subclasses__():
        _build_schemas(further)


def become_program() -> None:
    """Be the program from its `main` on, with children that are forked."""
    (serve() or _program)()


def _program() -> None:
    """End without taking all modules apart, which copies each page of them, a third of what a forked command costs."""
    from proxy.commands.start import main

    status = 0
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise  # the interpreter prints it
        status = end.code or 0
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def serve() -> Callable[[], None] | None:
    """Have the children of this process forked from now on. Answers the `main` of one in it, and None in this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        return _fork_for(theirs)
    theirs.close()
    subprocess.Popen = _popen(lambda: ours)  # type: ignore[assignment,misc]
    return None


@contextmanager
def forked() -> Iterator[None]:
    """Have the children of this process forked until the block ends, for tests whose own process is their parent."""
    _process()  # before a test counts its children
    with mock.patch.object(subprocess, "Popen", _popen(_process)):
        yield


@contextmanager
def refused() -> Iterator[None]:
    """Start everything until the block ends: for tests of what a process is and holds, which is not to come from a prepared one."""
    REFUSED.append(True)
    try:
        yield
    finally:
        REFUSED.pop()


@cache
def _process() -> socket.socket:
    """It ends with this process."""
    from proxy.supervisor.workers.process import worker_environment  # a prepared process imports what it becomes

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.prepared_children", str(theirs.fileno())]
        process = subprocess.Popen(
            command, env=worker_environment(os.environ), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _popen(process: Callable[[], socket.socket]) -> type["subprocess.Popen[Any]"]:
    turn = threading.Lock()
    owner = _here()
    system = ctypes.CDLL(None)

    class Popen(subprocess.Popen[Any]):
        """One that is forked, if it can be."""

        def __init__(self, args: Any, *positional: Any, **how: Any) -> None:
            self._how = how
            super().__init__(args, *positional, **how)

        def _execute_child(self, args: Any, *rest: Any) -> None:
            """Of `subprocess`."""
            how = self._how
            environment = dict(os.environ if how.get("env") is None else how["env"])
            if _here() != owner or not (_is_child(args, environment) or _is_program(args, environment, how)):
                super()._execute_child(args, *rest)  # type: ignore[misc]
                return
            pipes = rest[9:15]  # what is read and what is written, of each standard stream
            standard = [own if own != -1 else number for number, own in enumerate((pipes[0], pipes[3], pipes[5]))]
            ids = [how.get(name) for name in ("extra_groups", "group", "user")]
            kept = list(how.get("pass_fds", ()))
            directory = str(how.get("cwd") or Path.cwd())
            request = json.dumps(
                [list(map(str, args)), environment, ids, how.get("start_new_session"), kept, directory]
            )
            with turn:
                asked = process()
                system.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
                socket.send_fds(asked, [request.encode()], [*standard, *kept])
                self.pid = int(asked.recv(_LARGEST))
                system.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
            self._child_created = True
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    return Popen


def _here() -> tuple[int, Path]:
    """This process, and the namespace of mounts that a test may have entered."""
    return os.getpid(), Path("/proc/thread-self/ns/mnt").readlink()


def _is_child(command: Any, environment: Mapping[str, str]) -> bool:
    """Whether it is one of those of the program, and forked is the same as started."""
    is_one = isinstance(command, list) and command[:3] == [sys.executable, "-P", "-m"] and command[3] in _MAINS
    return is_one and _is_as_before(environment)


def _is_program(command: Any, environment: Mapping[str, str], how: Mapping[str, Any]) -> bool:
    """Whether it is the program, and forked is the same as started."""
    return (
        isinstance(command, list)
        and command[0] == PLEXIGATE
        and how.keys() <= _ARRANGED
        and environment.get(_TUNABLES) == os.environ.get(_TUNABLES)
        and _is_as_before(environment)
    )


def _is_as_before(environment: Mapping[str, str]) -> bool:
    return not REFUSED and {name: value for name, value in environment.items() if name.startswith(ALIEN)} == _BEFORE


def _fork_for(asked: socket.socket) -> Callable[[], None]:
    """Fork until the program has ended; return in a child."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, _LARGEST, 8)
        if not request:
            os._exit(0)
        here, there = socket.socketpair()
        between = os.fork()
        if not between:
            if os.fork():
                os._exit(0)  # so that the program is the child's parent
            asked.close()
            there.send(str(os.getpid()).encode())
            there.recv(1)  # now it is
            here.close()  # and not at the end, when their numbers may be others'
            there.close()
            return _become(json.loads(request), descriptors)
        pid = here.recv(_LARGEST)
        os.waitpid(between, 0)
        here.send(b"\0")
        for descriptor in descriptors:
            os.close(descriptor)
        here.close()
        there.close()
        asked.send(pid)


def _become(request: Sequence[Any], descriptors: list[int]) -> Callable[[], None]:
    command, environment, (groups, group, user), is_leader, kept, directory = request
    if _SOCKETS in environment:
        kept = range(3, 3 + len(kept))
        environment["LISTEN_PID"] = str(os.getpid())
    _arrange(descriptors, [0, 1, 2, *kept])
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    is_program = command[0] == PLEXIGATE
    module = "" if is_program else command[3]
    main, name = ("", _PROGRAM) if is_program else _MAINS[module]
    if is_leader:
        os.setsid()
    if groups is not None:
        os.setgroups(groups)
    if group is not None:
        os.setregid(group, group)
    if user is not None:
        os.setreuid(user, user)
    system = ctypes.CDLL(None)
    system.prctl(_PR_SET_NAME, name, 0, 0, 0)
    if is_program:
        sys.argv = command
        sys.orig_argv = [sys.executable, *command]
        return become_program
    if name == WORKER:
        _map_all_libraries(system)
    sys.argv = [str(sys.modules[module].__file__), *command[4:]]
    sys.orig_argv = command
    become: Callable[[], None] = getattr(sys.modules[module], main)
    return (lambda: (serve() or become)()) if name == _CHECK else become


def _map_all_libraries(system: ctypes.CDLL) -> None:
    """Have all pages of libraries in this process, as a fork copies no mapping of a file (fork(2) of Linux): otherwise a worker
    grows by each page that it reads first, and tests measure how much workers grow.
    """
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, permissions, _, _, inode = line.split()[:5]
        if inode != "0" and permissions.startswith("r"):
            start, end = (int(one, 16) for one in addresses.split("-"))
            system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_POPULATE_READ)


def _arrange(descriptors: list[int], numbers: list[int]) -> None:
    """Have these descriptors at these numbers, and no others."""
    above = max(numbers) + 1
    moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, above) for one in descriptors]
    for one, number in zip(moved, numbers, strict=True):
        os.dup2(one, number)
    for one in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if one not in numbers:
            with contextlib.suppress(OSError):  # the one by which they were listed
                os.close(one)


if __name__ == "__main__":
    prepare()
    gc.collect()
    gc.freeze()
    _fork_for(socket.socket(fileno=int(sys.argv[1])))()
