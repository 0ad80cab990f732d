"""The default places of this machine are out of reach of the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from certs.hsm.access import state_directory
from proxy.admin.settings import sockets_to_try
from proxy.downstream.service.spool import spool_directories
from tests.own_places import OutsideError, OwnPlaces, places

CHILD = """
import json, os
from certs.hsm.access import state_directory
from proxy.admin.settings import sockets_to_try
print(json.dumps([str(one) for one in (state_directory(), *sockets_to_try(os.environ, os.geteuid()))]))
"""


@pytest.fixture
def own(pytestconfig: pytest.Config) -> OwnPlaces:
    found = [value for value in pytestconfig.stash._storage.values() if isinstance(value, OwnPlaces)]
    assert len(found) == 1
    return found[0]


def test_this_process_and_those_it_starts_use_the_directory_of_the_tests(own: OwnPlaces) -> None:
    here = [state_directory(), *sockets_to_try(os.environ, os.geteuid())]
    assert here == [own.directory / "state", own.directory / "plexigate/admin.sock"]
    started = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(started.stdout) == [str(one) for one in here]


def test_every_place_is_below_the_directory_of_the_tests(own: OwnPlaces) -> None:
    assert {name: os.environ[name] for name in places(own.directory)} == {
        name: str(place) for name, place in places(own.directory).items()
    }
    assert os.environ["SOFTHSM2_CONF"].startswith(f"{own.directory}/")


def test_spools_are_there_too_also_those_of_another_account(own: OwnPlaces) -> None:
    (directory,) = map(Path, spool_directories(os.environ.get("TMPDIR")))
    assert directory == own.directory / "tmp"
    modes = [oct(path.stat().st_mode & 0o7777) for path in (own.directory, directory)]
    assert modes == ["0o711", "0o1777"]


@pytest.mark.parametrize(
    "place", ["/run/plexigate/admin.sock", "/etc/plexigate/plexigate.toml", "/var/lib/plexigate/pin-latch"]
)
def test_a_test_that_reads_a_default_place_is_blamed_even_if_the_error_is_dropped(own: OwnPlaces, place: str) -> None:
    with pytest.raises(OutsideError, match=f"^open of {place}, which belongs to the proxies of this machine"):
        Path(place).read_bytes()
    with pytest.raises(OutsideError, match=place):
        own.blame()
    own.blame()
