"""Small files with secrets."""

from pathlib import Path

from config.loader import load
from proxy.building.carried import Carried
from proxy.building.foundation import Foundation
from proxy.building.private_files import private_content
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site

PLACE = ("upstream", "chat", "cookie", "secret")


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


def test_file_that_cannot_be_read_is_an_error_that_says_what_is_allowed(site: Site, tmp_path: Path) -> None:
    base = foundation(site)
    assert private_content(base, PLACE, str(tmp_path / "none"), "a file") is None
    (error,) = base.problems
    assert (error.is_error, error.allowed) == (True, "a file")
