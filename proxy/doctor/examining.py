"""Runs the checks side by side, each with its own deadline and all with a common one.

A check runs in a daemon thread. After its deadline the thread is left behind: it may hang in a
system call or in foreign code, and ends with the process.
"""

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from proxy.doctor.checkup import Checkup, Examined, Lacking, Result
from proxy.doctor.finding import Finding, Judge

# Most checks wait for the network or for a disk.
_SIDE_BY_SIDE: Final = 8
ALL_SECONDS: Final = 55.0
"""The common deadline: an operator waits less than a minute."""


def examine(
    checkups: Sequence[Checkup],
    examined: Examined,
    progress: Callable[[Sequence[str]], None],
    seconds: float = ALL_SECONDS,
) -> list[Result]:
    """Run all checks, and return their results in the order of `checkups`.

    `progress` hears the names of the checks that run, each time that they change.
    """
    until = time.monotonic() + seconds
    results: dict[str, Result] = {}
    together = [one for one in checkups if not one.is_alone]
    alone = [one for one in checkups if one.is_alone]
    for batch, width in ((together, _SIDE_BY_SIDE), (alone, 1)):
        for result in _Batch(examined, progress, until).run(batch, width):
            results[result.checkup.name] = result
    return [results[one.name] for one in checkups]


class _Live:
    """A check in its thread."""

    def __init__(self, checkup: Checkup, examined: Examined, ended: "SimpleQueue[_Live]") -> None:
        self.checkup: Final = checkup
        self.began: Final = time.monotonic()
        self._found: SimpleQueue[Finding] = SimpleQueue()
        Thread(target=self._look, args=(examined, ended), name=checkup.name, daemon=True).start()

    def _look(self, examined: Examined, ended: "SimpleQueue[_Live]") -> None:
        try:
            for finding in self.checkup.look(examined):
                self._found.put(finding)
        except Lacking as lacking:
            self._found.put(Judge(self.checkup.name).skipped(self.checkup.name, lacking.found, lacking.remedy))
        except Exception as error:  # noqa: BLE001 - it becomes a finding, and the other checks continue
            place = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            remedy = "This is an internal error: report it with the output of plexigate doctor --json."
            self._found.put(Judge(self.checkup.name).unknown(self.checkup.name, name, remedy))
        ended.put(self)

    def result(self, *further: Finding) -> Result:
        """What it has found until now."""
        found = [*self._taken(), *further]
        return Result(self.checkup, tuple(found), time.monotonic() - self.began)

    def _taken(self) -> Iterable[Finding]:
        while True:
            try:
                yield self._found.get_nowait()
            except Empty:
                return


class _Batch:
    """Checks that run side by side."""

    def __init__(self, examined: Examined, progress: Callable[[Sequence[str]], None], until: float) -> None:
        self._examined = examined
        self._progress = progress
        self._until = until
        self._live: list[_Live] = []
        self._ended: SimpleQueue[_Live] = SimpleQueue()

    def run(self, checkups: Sequence[Checkup], width: int) -> Iterable[Result]:
        waiting = deque(checkups)
        while waiting or self._live:
            if time.monotonic() >= self._until:
                yield from (_unstarted(one) for one in waiting)
                waiting.clear()
            while waiting and len(self._live) < width:
                self._live.append(_Live(waiting.popleft(), self._examined, self._ended))
            if self._live:
                self._progress([one.checkup.name for one in self._live])
                yield from self._next()

    def _next(self) -> Iterable[Result]:
        """Wait until a check ends, or the first deadline is over."""
        now = time.monotonic()
        try:
            ended = self._ended.get(timeout=max(0.0, min(map(self._deadline, self._live)) - now))
        except Empty:
            yield from self._late(time.monotonic())
        else:
            if ended in self._live:
                self._live.remove(ended)
                yield ended.result()

    def _late(self, now: float) -> Iterable[Result]:
        for one in [one for one in self._live if self._deadline(one) <= now]:
            self._live.remove(one)
            found = f"no answer within {now - one.began:.1f} s"
            yield one.result(Judge(one.checkup.name).unknown(one.checkup.name, found))

    def _deadline(self, live: _Live) -> float:
        return min(live.began + live.checkup.seconds, self._until)


def _unstarted(checkup: Checkup) -> Result:
    found = "not checked: the time for all checks was over"
    return Result(checkup, (Judge(checkup.name).unknown(checkup.name, found),), 0.0)
