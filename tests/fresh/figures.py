"""What a walk costs: seconds until something is there, and seconds of CPU. And the table of them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """What was done; seconds until its end, or until it served; seconds of CPU that it took, None if nobody counted."""

    what: str
    seconds: float
    cpu: float | None = None


def table(figures: Sequence[Figure]) -> str:
    """One line for each."""
    lines = [("", "seconds", "CPU seconds")]
    lines += [(one.what, f"{one.seconds:.1f}", "" if one.cpu is None else f"{one.cpu:.2f}") for one in figures]
    width = max(len(what) for what, *_ in lines)
    return "\n".join(f"{what:{width}}  {seconds:>8}  {cpu:>11}".rstrip() for what, seconds, cpu in lines)


def children(process: int) -> list[int]:
    """Its children. The first one is the oldest."""
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def descendants(process: int) -> Iterator[int]:
    """Its children, and theirs."""
    for child in children(process):
        yield child
        yield from descendants(child)


def seconds_of(process: int) -> float:
    """The seconds of CPU that a process took itself; 0 if it has ended."""
    user, system = _facts(process)[11:13]
    return (user + system) / _TICKS


def ended_children_seconds(process: int) -> float:
    """The seconds of CPU of those children that have ended and were waited for, and of theirs."""
    user, system = _facts(process)[13:15]
    return (user + system) / _TICKS


def _facts(process: int) -> list[int]:
    """Of proc_pid_stat(5), from `state` on, as 0."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return [0] * 50
    return [0, *map(int, text.rpartition(") ")[2].split()[1:])]
