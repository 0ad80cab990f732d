"""One proxy at a time in each directory of state, and who it is."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certs.storage.disk import RESTORING, Disk
from certs.storage.lock import hold
from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.values.problems import ConfigError
from proxy.supervisor.secrets.state_locks import StateLocks, lock_problems
from tests.configurations import Site
from tests.descriptors import open_descriptors

RINGS = '[payload]\ndirectory = "{0}"\n[payload.ring.chat]\n'
SEALED = '[sealing]\nkey = "seal.key"\ndirectory = "{0}"\n'
STATE = '[rotation]\nstate = "{0}"\n'


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def loaded(site: Site, text: str, name: str = "plexigate.toml") -> LoadedConfig:
    path = site.write(site.minimal + text)
    return load(path.rename(path.with_name(name)))


@contextmanager
def locks(*configurations: LoadedConfig) -> Iterator[StateLocks]:
    before = open_descriptors()
    held = StateLocks()
    try:
        for one in configurations:
            held.take(one)
        yield held
    finally:
        held.release()
    assert open_descriptors() == before


def keys(problems: object) -> list[str]:
    assert isinstance(problems, Iterator)
    return [one.key for one in problems]


@pytest.mark.parametrize(
    ("text", "key"),
    [(RINGS, "payload.directory"), (SEALED, "sealing.directory"), (STATE, "rotation.state")],
)
def test_a_second_proxy_is_refused_with_the_name_of_the_first(site: Site, text: str, key: str) -> None:
    first, second = (loaded(site, text.format("place"), name) for name in ("first.toml", "second.toml"))
    with locks(first), locks() as others:
        with pytest.raises(ConfigError) as caught:
            others.take(second)
        (problem,) = caught.value.problems
        assert problem.key == key
        program = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        holder = f"process {os.getpid()} ({program}, with the configuration {first.file.path})"
        assert problem.found == f'"{site.directory / "place"}", which is in use by {holder}'
        assert [str(one) for one in lock_problems(second)] == [str(problem)], "a check says the same"
        assert keys(lock_problems(first)) == [], "the proxy of this configuration runs"
    with locks(second):
        assert keys(lock_problems(first)) == [key]
    assert keys(lock_problems(first)) == []


def test_directories_that_nothing_needs_are_not_taken_and_one_is_taken_once(site: Site) -> None:
    with locks(loaded(site, '[payload]\ndirectory = "place"\n')) as none:
        assert none.held == []
    (site.directory / "link").symlink_to("place")
    with locks(loaded(site, RINGS.format("place") + SEALED.format("link"))) as held:
        assert [path for path, _ in held.held] == [site.directory / "place"]


def test_a_reload_takes_the_new_ones_and_leaves_the_old_ones_when_it_serves(site: Site) -> None:
    old, new = (loaded(site, STATE.format("state") + RINGS.format(name)) for name in ("old", "new"))
    with locks(old, new) as held:
        assert len(held.held) == 3
        held.settle(new)
        assert [path.name for path, _ in held.held] == ["state", "new"]
        with locks(loaded(site, RINGS.format("old"))):
            pass


def test_an_upgrade_hands_them_over_without_a_moment_between(site: Site) -> None:
    both = loaded(site, STATE.format("state") + RINGS.format("rings"))
    program = (
        "import sys; from pathlib import Path; from certs.storage.lock import other_holder; "
        "print([bool(other_holder(Path(one))) for one in sys.argv[1:]])"
    )

    def held_by_others() -> str:
        command = [sys.executable, "-c", program, *(str(site.directory / one) for one in ("state", "rings"))]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    with locks() as new:
        old = StateLocks()
        old.take(both)
        elsewhere = os.memfd_create("x")
        new.take_over([*((path, os.dup(number)) for path, number in old.held), (site.directory / "gone", elsewhere)])
        new.take(both)
        old.release()
        assert held_by_others() == "[True, True]"
        new.settle(both)
        note = (site.directory / "rings" / "lock").read_text()
        assert note == f"{os.getpid()}\n{both.file.path}\n"
    assert held_by_others() == "[False, False]"


def test_a_directory_that_cannot_be_used_is_an_error_but_for_tickets(site: Site) -> None:
    (site.directory / "file").touch()
    with locks() as held:
        with pytest.raises(ConfigError, match=r"payload\.directory: found .*/file, which is not a directory"):
            held.take(loaded(site, RINGS.format("file")))
        held.take(loaded(site, SEALED.format("file")))
        assert held.held == []


def test_a_check_holds_nobody_up_and_an_older_lock_has_no_name(site: Site) -> None:
    found = loaded(site, STATE.format("state"))
    lock = site.directory / "state" / "lock"
    lock.parent.mkdir()
    lock.write_text("")
    descriptor = os.open(lock, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # another check
    assert keys(lock_problems(found)) == []
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert ["in use by another process" in one.found for one in lock_problems(found)] == [True]
    lock.write_text("999999999\n\x1b[2J\n")
    assert ["in use by process 999999999 (of another container" in one.found for one in lock_problems(found)] == [True]
    os.close(descriptor)
    with hold(lock.parent, Disk()):
        assert ["(of" not in one.found for one in lock_problems(found)] == [True]


def test_nothing_starts_or_is_fine_while_a_restore_is_not_complete(site: Site) -> None:
    found = loaded(site, "")
    journal = found.file.path.parent / RESTORING
    journal.parent.mkdir()
    journal.touch()
    (problem,) = lock_problems(found)
    assert problem.is_error
    assert "backup restore FILE again" in str(problem)
    with pytest.raises(ConfigError, match="did not end"), locks(found):
        pass
