"""Crashes at every step of a change to the state directory: the steps are those that the code takes, nobody lists them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from certs.storage.disk import Disk


class PowerLost(BaseException):
    """The process has come to its end in the middle of something; nobody catches it."""


def steps_of(work: Callable[[Disk], object]) -> list[str]:
    """The steps that `work` takes when nothing happens to it."""
    taken: list[str] = []
    work(Disk(taken.append))
    return taken


def crashes(work: Callable[[Path, Disk], object], directory: Path) -> Iterator[tuple[str, Path]]:
    """Run `work` once for each of its steps, each time in a new directory that it does not come beyond that step in."""
    unharmed = directory / "unharmed"
    unharmed.mkdir()
    for number, name in enumerate(steps_of(lambda disk: work(unharmed, disk))):
        place = directory / f"{number:04}"
        place.mkdir()
        left = number

        def step(_name: str) -> None:
            nonlocal left
            if left == 0:
                raise PowerLost
            left -= 1

        try:
            work(place, Disk(step))
        except PowerLost:
            yield name, place
        else:
            raise AssertionError(f"{name} was not come to again: the steps are not the same each time")


def killed(work: Callable[[Path, Disk], object], directory: Path) -> Iterator[tuple[str, Path]]:
    """The same, in processes that are killed by SIGKILL; to be called in a process without other threads."""
    unharmed = directory / "unharmed"
    unharmed.mkdir()
    for number, name in enumerate(steps_of(lambda disk: work(unharmed, disk))):
        place = directory / f"{number:04}"
        place.mkdir()
        child = os.fork()
        if child == 0:
            _die_at(number, work, place)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{name} was not come to"
        assert os.WTERMSIG(status) == signal.SIGKILL
        yield name, place


def _die_at(number: int, work: Callable[[Path, Disk], object], place: Path) -> None:
    left = number

    def step(_name: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    try:
        work(place, Disk(step))
    finally:
        os._exit(0)


# What changes a disk, of the module `os`: all writers go through it (`certs.files.directory`).
_CHANGING = ("open", "fsync", "fchmod", "fchown", "rename", "unlink", "mkdir", "rmdir")


def cut_off(
    work: Callable[[Path], object], directory: Path, prepare: Callable[[Path], object]
) -> Iterator[tuple[str, Path]]:
    """Run `work` with the power lost at the n-th system call that changes a disk, for every n, each time in a new directory that
    `prepare` has filled. Nothing comes after it, so what `work` would tidy up stays. The last one is not cut off."""
    number = 0
    while True:
        place = directory / f"{number:04}"
        place.mkdir()
        prepare(place)
        with _power_for(number) as lost:
            try:
                work(place)
            except PowerLost:
                pass
            except OSError:
                assert lost, "no power was lost, and yet it failed"
        yield (lost[0] if lost else "nothing"), place
        if not lost:
            return
        number += 1


@contextmanager
def _power_for(calls: int) -> Iterator[list[str]]:
    """Yields the calls that found no power."""
    lost: list[str] = []
    made = 0

    def limited(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            if name != "open" or arguments[1] & os.O_CREAT:
                if lost or made == calls:
                    lost.append(name)
                    raise PowerLost
                made += 1
            return real(*arguments, **named)

        return call

    with ExitStack() as patches:
        for name in _CHANGING:
            patches.enter_context(patch.object(os, name, limited(name, getattr(os, name))))
        yield lost
