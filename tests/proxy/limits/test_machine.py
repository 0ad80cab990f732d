"""What this process has, told by the kernel."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.limits.machine import ProcessFigures, memory_bytes, most_descriptors

MEBIBYTE = 1_048_576


@pytest.fixture
def figures() -> Iterator[ProcessFigures]:
    figures = ProcessFigures()
    yield figures
    figures.close()


def test_the_most_descriptors_are_those_of_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert most_descriptors() == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, resource.RLIM_INFINITY))
    assert most_descriptors() is None


def test_the_next_descriptor_gets_the_lowest_free_number(figures: ProcessFigures) -> None:
    expected = figures.lowest_free_descriptor
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    assert taken[0] == expected
    # what the kernel gives next: not always the following number, as one may be in use there
    following = figures.lowest_free_descriptor
    taken.append(os.open("/dev/null", os.O_RDONLY))
    assert taken[-1] == following
    for descriptor in taken:
        os.close(descriptor)
    assert figures.lowest_free_descriptor == expected


def test_without_a_free_one_it_is_the_limit(figures: ProcessFigures) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (figures.lowest_free_descriptor, hard))
    try:
        assert figures.lowest_free_descriptor == figures.descriptor_limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert figures.descriptor_limit == soft


RESIDENT = """
from proxy.limits.machine import ProcessFigures

figures = ProcessFigures()
before = figures.resident_bytes
used = bytearray(b"x") * (50 << 20)
print(figures.resident_bytes - before)
del used
figures.give_memory_back()
print(figures.resident_bytes - before)
"""


def test_resident_memory_is_what_is_used_now() -> None:
    """In a small process: the kernel may take back pages of the files of a large one meanwhile."""
    command = [sys.executable, "-c", RESIDENT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    more, left = map(int, done.stdout.split())
    assert 45 * MEBIBYTE < more < 55 * MEBIBYTE
    assert left < 5 * MEBIBYTE


def test_this_machine_has_memory() -> None:
    assert memory_bytes() > 100 * MEBIBYTE


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 8_192 * MEBIBYTE),
        ({"a/b": "max"}, 8_192 * MEBIBYTE),
        ({"a/b": "1048576"}, MEBIBYTE),
        ({"a": "2097152", "a/b": "max"}, 2 * MEBIBYTE),
        ({"a": "1048576", "a/b": "2097152"}, MEBIBYTE),
        ({"": "1048576"}, MEBIBYTE),
        ({"other": "1048576"}, 8_192 * MEBIBYTE),
        ({"a/b": "99999999999999"}, 8_192 * MEBIBYTE),
    ],
)
def test_a_control_group_has_less_than_its_machine(tmp_path: Path, limits: dict[str, str], expected: int) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:        8388608 kB\nMemFree:  5 kB\n")
    (proc / "self/cgroup").write_text("12:cpu:/x\n0::/a/b\n")
    (cgroups / "a/b").mkdir(parents=True)
    (cgroups / "other").mkdir()
    (tmp_path / "memory.max").write_text("1")  # none of ours
    for group, limit in limits.items():
        (cgroups / group / "memory.max").write_text(f"{limit}\n")
    assert memory_bytes(proc, cgroups) == expected


def test_without_groups_of_version_2_there_is_the_machine(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 1024 kB\n")
    (tmp_path / "self/cgroup").write_text("")
    assert memory_bytes(tmp_path, tmp_path / "none") == MEBIBYTE
