"""The processes of the running proxy, as /proc shows them (proc(5))."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.api.status import StatusDocument

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """One process. `user` and `groups` are numbers of the effective rights.

    `most_files` is its soft limit of file descriptors, None without a limit. `open_files` is None
    if this user may not look.
    """

    name: str
    pid: int
    user: int
    groups: tuple[int, ...]
    most_files: int | None
    open_files: int | None


def running_processes(status: StatusDocument, proc: Path = PROC) -> Iterator[RunningProcess]:
    """The parent and the workers of a proxy, by its `GET /status`.

    Leaves out those that are not in `proc`: they have ended, or are in another PID namespace.
    """
    named = {"the parent": status["pid"], **{f"worker {one['slot']}": one["pid"] for one in status["workers"]}}
    for name, pid in named.items():
        try:
            yield _process(name, pid, proc / str(pid))
        except (OSError, KeyError):
            continue


def _process(name: str, pid: int, place: Path) -> RunningProcess:
    lines = (place / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    groups = {facts["Gid"].split()[1], *facts["Groups"].split()}
    return RunningProcess(
        name,
        pid,
        int(facts["Uid"].split()[1]),
        tuple(sorted(map(int, groups))),
        _most_files((place / "limits").read_text(encoding="ascii")),
        _open_files(place / "fd"),
    )


def _most_files(limits: str) -> int | None:
    line = next(one for one in limits.splitlines() if one.startswith("Max open files"))
    soft = line.split()[3]
    return None if soft == "unlimited" else int(soft)


def _open_files(place: Path) -> int | None:
    try:
        return sum(1 for _ in place.iterdir())
    except OSError:
        return None
