"""Runs tests side by side in processes that are forked off when the tests are collected: `--processes 4`.

pytest-xdist collects in each process, which is 8 s of CPU for all programs, a dozen times in a run, and each test costs it a
millisecond. What is forked has the tests already. As there, a process goes on where another one has most left, and one that dies
costs the test that it ran.
"""

import atexit
import contextlib
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import coverage
import pytest

if TYPE_CHECKING:
    from _pytest.capture import CaptureManager
    from _pytest.tmpdir import TempPathFactory

_BEGINNINGS: Final[list[Callable[[int], None]]] = []


def at_the_beginning(do: Callable[[int], None]) -> Callable[[int], None]:
    """Have each process call this first, with its number."""
    _BEGINNINGS.append(do)
    return do


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many processes there are."""
    parser.addoption("--processes", type=_number, default=1, help="run that many tests side by side, or `auto`")


def _number(text: str) -> int:
    return len(os.sched_getaffinity(0)) if text == "auto" else int(text)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run all tests, if there are to be several processes."""
    count = min(session.config.getoption("--processes"), len(session.items))
    if count <= 1 or session.config.option.collectonly or session.testsfailed:
        return None
    if len([*Path("/proc/self/task").iterdir()]) > 1:
        raise pytest.UsageError(
            "a module of tests starts a thread when it is imported, and would wait for it in a fork"
        )
    _Crowd(session).run(count)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    return True


@dataclass(slots=True)
class _Process:
    """One of them, as the session sees it."""

    pid: int
    ours: Connection
    left: range
    """The tests that it will be given, by their places in the session."""
    running: int | None = None
    given: int | None = None
    """What comes behind that one: a process has to know which fixtures are still wanted."""


class _Crowd:
    """Hands out tests, and reports what became of them."""

    def __init__(self, session: pytest.Session) -> None:
        self._session: Final = session
        self._living: Final[dict[Connection, _Process]] = {}
        self._numbers = 0

    def run(self, count: int) -> None:
        """Until all processes have ended."""
        self._session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # each has its own below it
        size = len(self._session.items)
        for number in range(count):
            self._fork(range(size * number // count, size * (number + 1) // count))
        while self._living:
            for ready in wait([*self._living]):
                self._hear(self._living[ready])  # type: ignore[index]

    def _fork(self, left: range) -> None:
        number = self._numbers
        self._numbers += 1
        ours, theirs = Pipe()
        pid = os.fork()
        if pid:
            theirs.close()
            self._living[ours] = _Process(pid, ours, left)
            return
        for one in [ours, *self._living]:
            one.close()
        status = 1
        try:
            _run(self._session, number, theirs)
            status = 0
        except BaseException:  # noqa: BLE001 - it must not go on as the process from which it was forked
            with contextlib.suppress(OSError):
                theirs.send(("fault", traceback.format_exc()))
        finally:
            os._exit(status)

    def _hear(self, process: _Process) -> None:
        try:
            kind, told = process.ours.recv()
        except EOFError:
            self._ended(process)
            return
        if kind == "next":
            process.running = process.given
            process.given = self._next(process)
            with contextlib.suppress(BrokenPipeError):  # its end is read next
                process.ours.send(process.given)
        elif kind == "report":
            self._report(
                self._session.config.hook.pytest_report_from_serializable(config=self._session.config, data=told)
            )
        else:
            self._session.shouldfail = f"a process could not go on:\n{told}"

    def _report(self, report: pytest.TestReport) -> None:
        hook = self._session.config.hook
        hook.pytest_runtest_logreport(report=report)
        if (
            report.when == "teardown"
        ):  # shows how far it is; the start of a test would show its file, in turn with those of others
            hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)

    def _next(self, process: _Process) -> int | None:
        """The next test of a process: when it has none left, of the half of what the process has that has most."""
        if self._session.shouldfail or self._session.shouldstop:
            return None
        if not process.left:
            longest = max(self._living.values(), key=lambda one: len(one.left))
            middle = longest.left.start + len(longest.left) // 2
            process.left = range(middle, longest.left.stop)
            longest.left = range(longest.left.start, middle)
        if not process.left:
            return None
        first, process.left = process.left[0], process.left[1:]
        return first

    def _ended(self, process: _Process) -> None:
        """If it died in a test, that one has failed, and another process takes its place."""
        del self._living[process.ours]
        process.ours.close()
        _, status = os.waitpid(process.pid, 0)
        if status == 0 or process.running is None or self._session.shouldfail:
            return
        item = self._session.items[process.running]
        said = f"the process that ran it ended with {os.waitstatus_to_exitcode(status)}"
        self._report(pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call"))
        self._fork(process.left if process.given is None else range(process.given, process.left.stop))


# -- in such a process


class _Teller:
    """Tells the session what became of tests."""

    def __init__(self, config: pytest.Config, theirs: Connection) -> None:
        self._config: Final = config
        self._theirs: Final = theirs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of pytest."""
        self._theirs.send(
            ("report", self._config.hook.pytest_report_to_serializable(config=self._config, report=report))
        )


def _run(session: pytest.Session, number: int, theirs: Connection) -> None:
    config = session.config
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(_Teller(config, theirs))
    capturing: CaptureManager = config.pluginmanager.getplugin("capturemanager")
    capturing.stop_global_capturing()  # its files would be those of all processes
    capturing.start_global_capturing()
    factory: TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = factory.getbasetemp() / f"process-{number}"
    factory._basetemp.mkdir(mode=0o700)
    for begin in _BEGINNINGS:
        begin(number)
    current = _next(theirs)
    while current is not None:
        following = _next(theirs)
        item = session.items[current]
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None if following is None else session.items[following])
        current = following
    if measuring := coverage.Coverage.current():
        measuring.stop()
        measuring.save()
    atexit._run_exitfuncs()  # of what tests have started


def _next(theirs: Connection) -> Any:
    theirs.send(("next", None))
    return theirs.recv()
