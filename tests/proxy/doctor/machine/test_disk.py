"""Little room on a disk is found."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.machine.disk import DISK, DiskRoom, disk_finding, room_at
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, configured, states

MIB = 1_048_576
PLENTY = DiskRoom(free=50_000 * MIB, size=100_000 * MIB, files=1_000_000, is_read_only=False)


@pytest.mark.parametrize(
    ("room", "state"),
    [
        (PLENTY, "ok"),
        (replace(PLENTY, files=None), "ok"),
        (replace(PLENTY, free=100 * MIB), "warning"),
        (replace(PLENTY, free=4_000 * MIB), "warning"),
        (replace(PLENTY, free=MIB), "failure"),
        (replace(PLENTY, files=5), "failure"),
        (replace(PLENTY, is_read_only=True), "failure"),
        (replace(PLENTY, free=9_000 * MIB, size=1_000_000 * MIB), "ok"),
    ],
)
def test_room(room: DiskRoom, state: str) -> None:
    assert disk_finding("log", room).state == state


def test_room_of_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    assert room_at(tmp_path / "a/b/c.log").size == room_at(tmp_path).size > 0


def test_places_that_are_written_are_looked_at(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    loaded = configured(site.write(f'{site.minimal}[log]\nfile = "x.log"\n'))
    (checkup,) = DISK
    subjects = [subject for subject, _ in states(checkup.look(replace(NOTHING, configured=loaded)))]
    assert subjects[0] == f"log.file ({tmp_path}/x.log)"
    assert len(subjects) == 2
