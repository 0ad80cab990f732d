"""Files whose content is kept in memory."""

from dataclasses import replace
from pathlib import Path

from config.loading.loader import load
from proxy.building.carried import Carried
from proxy.building.files import private_content, read_bounded
from proxy.building.foundation import Foundation
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site

PLACE = ("upstream", "chat", "cookie", "secret")


def test_a_file_is_read_once_and_up_to_its_bound(site: Site) -> None:
    (site.directory / "four").write_bytes(b"1234")
    foundation = Foundation.of(load(site.write(MINIMAL_LISTENER + site.identity + MINIMAL_REST)), Carried())
    contents: dict[Path, bytes] = {}
    first = read_bounded(foundation, ("a",), "four", 4, contents)
    assert first == b"1234"
    assert read_bounded(foundation, ("a",), "four", 4, contents) is first
    assert foundation.problems == []
    assert read_bounded(foundation, ("a",), "four", 3, {}) is None
    assert read_bounded(foundation, ("b",), "none", 4, contents) is None
    assert [(problem.key, problem.found) for problem in foundation.problems] == [
        ("a", '"four", which has more'),
        ("b", '"none", which cannot be read (No such file or directory)'),
    ]


def foundation(site: Site) -> Foundation:
    return Foundation.of(load(site.write(MINIMAL_LISTENER + site.identity + MINIMAL_REST)), Carried())


def file(directory: Path, mode: int) -> str:
    path = directory / "secret.key"
    path.write_bytes(b"octets\n")
    path.chmod(mode)
    return str(path)


def test_content_of_a_private_file(site: Site, tmp_path: Path) -> None:
    base = foundation(site)
    assert private_content(base, PLACE, file(tmp_path, 0o600), "a file") == b"octets\n"
    assert base.problems == []


def test_file_that_others_may_read_is_read_and_warned_of(site: Site, tmp_path: Path) -> None:
    base = foundation(site)
    assert private_content(base, PLACE, file(tmp_path, 0o640), "a file") == b"octets\n"
    (warning,) = base.problems
    assert (warning.is_error, "mode 0640" in warning.found) == (False, True)


def test_remedy_of_a_worker_names_the_file_of_the_operator(site: Site, tmp_path: Path) -> None:
    """A worker reads a copy in memory, whose name is of no use to anybody else."""
    base = foundation(site)
    copy = tmp_path / "16"
    copy.write_bytes(b"octets\n")
    copy.chmod(0o644)
    named = tmp_path / "secret.key"
    loaded = replace(base.loaded, file=replace(base.loaded.file, files={named: copy}))
    worker = Foundation.of(loaded, Carried())
    assert private_content(worker, PLACE, str(named), "a file") == b"octets\n"
    assert [one.allowed for one in worker.problems] == [f"mode 0600: chmod 600 {named}"]


def test_file_that_cannot_be_read_is_an_error_that_says_what_is_allowed(site: Site, tmp_path: Path) -> None:
    base = foundation(site)
    assert private_content(base, PLACE, str(tmp_path / "none"), "a file") is None
    (error,) = base.problems
    assert (error.is_error, error.allowed) == (True, "a file")
