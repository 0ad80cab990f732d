"""The processes of a running proxy, read from a directory that looks like /proc."""

import os
from pathlib import Path

from proxy.doctor.machine.processes import RunningProcess, running_processes
from tests.parts import part

STATUS = {"pid": 10, "workers": [{"slot": 0, "pid": 11}, {"slot": 1, "pid": 12}]}
LIMITS = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            {}                 4096                 files\n"


def process(proc: Path, pid: int, soft: str = "1024", files: int | None = 3) -> None:
    """A process of user 33 whose groups are 33 and 4."""
    place = proc / str(pid)
    place.mkdir()
    (place / "status").write_text("Name:\tplexigate\nUid:\t0\t33\t33\t33\nGid:\t33\t33\t33\t33\nGroups:\t4 33\n")
    (place / "limits").write_text(LIMITS.format(soft))
    if files is not None:
        (place / "fd").mkdir()
        for number in range(files):
            (place / "fd" / str(number)).touch()


def test_parent_and_workers_with_their_rights(tmp_path: Path) -> None:
    process(tmp_path, 10)
    process(tmp_path, 11, "unlimited", None)
    assert list(running_processes(part(STATUS), tmp_path)) == [
        RunningProcess("the parent", 10, 33, (4, 33), 1_024, 3),
        RunningProcess("worker 0", 11, 33, (4, 33), None, None),
    ]


def test_this_process_is_found_in_the_real_directory() -> None:
    (found,) = running_processes(part({"pid": os.getpid(), "workers": []}))
    assert (found.user, found.open_files is not None) == (os.geteuid(), True)
