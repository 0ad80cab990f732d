"""The manual pages as man-db and mandoc read them."""

import subprocess
from pathlib import Path

import pytest

from docker.building.manual.data_files import data_files

PAGES = {path: text for path, text in data_files("2026-11-28", "1.2.3").items() if "/man/" in path}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("man")
    for path, text in PAGES.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return sorted(place.rglob("*.[15]"))


def test_mandoc_finds_nothing_to_warn_of(pages: list[Path]) -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", *map(str, pages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_man_finds_nothing_to_warn_of_and_shows_the_text(pages: list[Path]) -> None:
    """What lintian asks of a page."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"}
    for page in pages:
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (done.stderr, done.returncode) == ("", 0), page.name
    command = ["man", "-l", str(next(page for page in pages if page.name == "plexigate-run.1"))]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "plexigate run /etc/plexigate/plexigate.toml --log-format pretty" in shown
