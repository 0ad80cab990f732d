"""`plexigate doctor`: where it says what, and with which status it ends."""

import json
from pathlib import Path

import pytest

from proxy.doctor.finding import State
from tests.configurations import Site
from tests.proxy.commands.test_cli import plexigate


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = Site.make(tmp_path_factory.mktemp("site"))
    return site.write(site.minimal)


def test_report_as_json(file: Path, tmp_path: Path) -> None:
    result = plexigate("doctor", str(file), "--json", "--socket", str(tmp_path / "admin.sock"))
    report = json.loads(result.stdout)
    assert (report["version"], report["file"], report["running"]) == (1, str(file), False)
    assert {one["state"] for one in report["findings"]} <= {str(state) for state in State}
    assert result.exit_code == (0 if report["ok"] else 1)


def test_report_for_a_person_is_on_standard_output(file: Path, tmp_path: Path) -> None:
    result = plexigate("doctor", "examine", str(file), "--all", "--socket", str(tmp_path / "admin.sock"))
    assert "running proxy" in result.stdout
    assert "Start it (systemctl start plexigate" in result.stdout


def test_unreadable_file_ends_with_2(tmp_path: Path) -> None:
    result = plexigate("doctor", str(tmp_path / "gone.toml"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such file or directory" in result.stderr


def test_help_names_the_command_that_has_the_options() -> None:
    result = plexigate("doctor", "--help")
    assert result.exit_code == 0
    for word in ("examine --help", "--all", "--json", "--strict", "--socket", "--cbom"):
        assert word in " ".join(result.stdout.split())
