"""Waiting for what nobody tells: the loop turns until it has happened; pytest's timeout ends a wait in vain."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TypeVar

SECONDS = 10.0
"""Nothing that a real program does in a test takes that long."""

_TURNS = 200
"""Who waits for longer leaves the processor to others."""

Found = TypeVar("Found")


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds that this process brings about: at once, or by a thread or a timer."""
    for turn in count():
        if condition():
            return
        await asyncio.sleep(0 if turn < _TURNS else 0.001)


async def until_seen(condition: Callable[[], object]) -> None:
    """The same for what another process does, which gets the processor meanwhile."""
    while not condition():  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)


def until_found(look: Callable[[], Found], seconds: float = SECONDS) -> Found:
    """Look again until something true is seen that another process brings about; without a loop, and not for ever."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not.

    The first thread is dead before the last one is, and only with that one the files are closed.
    """
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False
    return any(map(_is_running, threads))


def _is_running(thread: Path) -> bool:
    try:
        return "\nState:\tZ" not in (thread / "status").read_text(encoding="ascii")
    except OSError:
        return False
