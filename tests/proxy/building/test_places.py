"""Whether a process can write where its configuration says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.building.places import directory_fault, file_fault, place_problems
from proxy.processes.privileges import ProcessAccount
from tests.accounts import AS_SOMEBODY_ELSE, NEEDS_ROOT
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
    assert list(place_problems(load(site.write(site.minimal + EVERYWHERE.format(place))), None)) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ('[rotation]\nstate = "chat.pem"\n', ("rotation.state", "which is not a directory")),
        ('[rotation]\nstate = "chat.pem/a/b"\n', ("rotation.state", "below")),
        ('[payload]\ndirectory = "chat.pem"\n[payload.ring.a]\n', ("payload.directory", "which is not a directory")),
        ('[sealing]\nkey = "a"\ndirectory = "chat.pem"\n', ("sealing.directory", "which is not a directory")),
        ('[audit]\nfile = "directory"\n', ("audit.file", "not a regular file")),
        ('[rotation]\nstate = "gone"\n', ("rotation.state", 'a link to "nowhere", which does not exist')),
        ('[rotation]\nstate = "gone/a"\n', ("rotation.state", "below")),
        (f'[rotation]\nstate = "{"x" * 300}"\n', ("rotation.state", "File name too long")),
    ],
)
def test_something_else_in_the_place_is_named(site: Site, table: str, found: tuple[str, str]) -> None:
    (site.directory / "directory").mkdir()
    (site.directory / "gone").symlink_to("nowhere")
    (problem,) = place_problems(load(site.write(site.minimal + table)), None)
    assert problem.key == found[0]
    assert found[1] in problem.found
    assert problem.is_error is (found[0] != "sealing.directory")


@pytest.mark.skipif(
    not os.statvfs("/sys").f_flag & os.ST_RDONLY, reason="run it in a container: /sys is read-only there"
)
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


@NEEDS_ROOT
class TestWorkers:
    """Workers of another user could put a link in place of a file that root opens."""

    WORKERS = ProcessAccount(1_234, 1_235, (1_236,), "plexigate")

    def found(self, site: Site, table: str = "log") -> list[str]:
        loaded = load(site.write(f'{site.minimal}[{table}]\nfile = "logs/deep/file"\n'))
        return [str(one) for one in place_problems(loaded, self.WORKERS) if one.is_error]

    @pytest.fixture
    def logs(self, site: Site) -> Path:
        (logs := site.directory / "logs" / "deep").mkdir(parents=True)
        return logs

    @pytest.mark.parametrize("table", ["log", "audit"])
    @pytest.mark.parametrize(
        ("owner", "group", "mode"), [(1_234, 0, 0o755), (0, 1_235, 0o770), (0, 1_236, 0o775), (0, 0, 0o757)]
    )
    def test_a_log_where_they_can_write_is_an_error(
        self, site: Site, logs: Path, owner: int, group: int, mode: int, table: str
    ) -> None:
        for place in (logs, logs.parent):
            os.chown(place, owner, group)
            place.chmod(mode)
            (problem,) = self.found(site, table)
            assert f'"logs/deep/file", in "{place}", where the workers can write (user plexigate); allowed: ' in problem
            os.chown(place, 0, 0)
            place.chmod(0o755)
        assert self.found(site, table) == []

    def test_a_directory_such_as_tmp_is_one_but_what_is_below_it_is_not(self, site: Site, logs: Path) -> None:
        logs.parent.chmod(0o1777)
        assert self.found(site) == []
        logs.chmod(0o1777)
        assert len(self.found(site)) == 1

    def test_a_link_of_theirs_is_found_before_it_is_followed(self, site: Site, logs: Path) -> None:
        os.chown(logs, 1_234, 1_234)
        (logs / "file").symlink_to(site.chat.key)
        assert '"logs/deep/file", which must not be written: it is a link' in "".join(self.found(site))
