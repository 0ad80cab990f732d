"""Every operation that changes state is killed at each of its system calls, and finds the disk full or read-only at every fifth.

After each the next start serves, and no key is lost. A directory that was restored from before the operation serves as well.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.half_written.proof import FIRST_START, OPERATIONS, RESTORE, Tried, first_start, restored, restoring, running
from tests.half_written.scene import State
from tests.half_written.stopping import FULL, KILL, READ_ONLY, Stopper

_EVERY = {"killed": (KILL, 1), "disk full": (FULL, 5), "read-only": (READ_ONLY, 5)}


def run(_minutes: float, console: Console) -> list[str]:
    """Run it; answers what is wrong."""
    table = Table(
        "what", "stopped by", "system calls", "stopped at", "wrong", title="state that cannot be half written"
    )
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="plexigate-state-") as beside,
        Stopper.of(directory := Path(beside)) as stopper,
    ):
        state = State.made(directory, stopper)
        for name in (FIRST_START, *OPERATIONS, RESTORE):
            for how in _EVERY:
                tried = _tried(state, name, how, console)
                table.add_row(name, how, f"{tried.calls}", f"{tried.stopped}", f"{len(tried.wrong)}")
                console.print(f"{name}, {how}: {tried.stopped} times, {len(tried.wrong)} wrong", highlight=False)
                for fault in tried.wrong:
                    console.print(f"wrong: {fault}", highlight=False)
                wrong += tried.wrong
            if name in OPERATIONS:
                wrong += restored(state, name)
    console.print(table)
    return wrong


def _tried(state: State, name: str, how: str, console: Console) -> Tried:
    error, step = _EVERY[how]

    def choose(calls: int) -> Iterable[int]:
        return track(range(0, calls, step), f"{name}, {how}", console=console)

    if name == RESTORE:
        return restoring(state, error, choose)
    return first_start(state, error, choose) if name == FIRST_START else running(state, name, error, choose)
