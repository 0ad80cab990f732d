"""Files whose content is kept in memory."""

from typing import TYPE_CHECKING

from config.loader import load
from proxy.building.carried import Carried
from proxy.building.files import read_bounded
from proxy.building.foundation import Foundation
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site

if TYPE_CHECKING:
    from pathlib import Path


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
