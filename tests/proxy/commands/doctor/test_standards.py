"""`plexigate doctor standards`: where it says what, and with which status it ends."""

import json
from pathlib import Path

import pytest

from tests.configurations import Site
from tests.proxy.commands.test_cli import plexigate


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = Site.make(tmp_path_factory.mktemp("site"))
    return site.write(site.minimal)


def test_report_for_a_person(file: Path, tmp_path: Path) -> None:
    result = plexigate("doctor", "standards", str(file), "--socket", str(tmp_path / "gone"))
    assert result.exit_code == 1
    assert result.stdout.startswith("This is not a certificate")
    assert "No running proxy answers" in result.stdout
    assert "not met         section 3.3" in result.stdout


def test_one_standard_as_json(file: Path, tmp_path: Path) -> None:
    arguments = ["--socket", str(tmp_path / "gone"), "--standard", "fips-205", "--standard", "fips-203", "--json"]
    result = plexigate("doctor", "standards", str(file), *arguments)
    report = json.loads(result.stdout)
    assert [one["name"] for one in report["standards"]] == ["fips-205", "fips-203"]
    assert (result.exit_code, report["running"]) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gone.toml"], "No such file"),
        (["--standard", "iso-9001"], "there is no standard 'iso-9001'; there are fips-203"),
    ],
)
def test_nothing_to_assess_ends_with_2(arguments: list[str], says: str) -> None:
    result = plexigate("doctor", "standards", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_help_names_every_standard() -> None:
    from proxy.doctor.standards.standards import STANDARDS

    text = "".join(plexigate("doctor", "standards", "--help").stdout.split())
    assert all(one.name in text for one in STANDARDS)
