"""Whether a process can write where its configuration says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.loader import load
from proxy.building.places import directory_fault, file_fault, place_problems
from tests.accounts import AS_SOMEBODY_ELSE
from tests.configurations import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


EVERYWHERE = """
[log]
file = "{0}/log"
[audit]
file = "{0}/audit"
[rotation]
state = "{0}/deep/state"
[payload]
directory = "{0}/payload"
[payload.ring.chat]
[sealing]
key = "sealing.key"
directory = "{0}/sealing"
"""


def test_places_that_can_be_made_are_fine_and_are_not_made(site: Site) -> None:
    place = site.directory / "place"
    place.mkdir()
    assert list(place_problems(load(site.write(site.minimal + EVERYWHERE.format(place))))) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ('[rotation]\nstate = "chat.pem"\n', ("rotation.state", "which is no directory")),
        ('[rotation]\nstate = "chat.pem/a/b"\n', ("rotation.state", "below")),
        ('[payload]\ndirectory = "chat.pem"\n[payload.ring.a]\n', ("payload.directory", "which is no directory")),
        ('[sealing]\nkey = "a"\ndirectory = "chat.pem"\n', ("sealing.directory", "which is no directory")),
        ('[audit]\nfile = "directory"\n', ("audit.file", "no regular file")),
        (f'[rotation]\nstate = "{"x" * 300}"\n', ("rotation.state", "File name too long")),
    ],
)
def test_something_else_in_the_place_is_named(site: Site, table: str, found: tuple[str, str]) -> None:
    (site.directory / "directory").mkdir()
    (problem,) = place_problems(load(site.write(site.minimal + table)))
    assert problem.key == found[0]
    assert found[1] in problem.found
    assert problem.is_error is (found[0] != "sealing.directory")


@pytest.mark.skipif(not os.statvfs("/sys").f_flag & os.ST_RDONLY, reason="nothing is read-only here")
def test_a_read_only_file_system_is_said_to_be_one() -> None:
    assert "read-only file system" in str(directory_fault(Path("/sys/plexigate")))
    assert "read-only file system" in str(file_fault(Path("/sys/plexigate")))


@AS_SOMEBODY_ELSE
def test_it_is_asked_with_the_rights_of_the_process(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "log").touch(mode=0o600)
    program = (
        "import json, sys; from pathlib import Path; from proxy.building.places import directory_fault, file_fault; "
        "p = Path(sys.argv[1]); print(json.dumps([file_fault(p / 'log'), file_fault(p / 'new'), directory_fault(p / 'a')]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, user="nobody", check=True, capture_output=True, cwd="/")
    assert all("Permission denied" in fault for fault in json.loads(done.stdout))


def test_what_is_no_file_is_left_to_others(tmp_path: Path) -> None:
    assert file_fault(tmp_path) is None
    assert file_fault(tmp_path / "missing" / "log") is None
    os.mkfifo(tmp_path / "pipe")
    assert file_fault(tmp_path / "pipe") is None  # nobody waits for its reader
    assert "too long" in str(file_fault(tmp_path / ("x" * 300)))
