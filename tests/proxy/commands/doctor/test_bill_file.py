"""`plexigate doctor FILE --cbom OUT`: what is written, and what is never overwritten."""

import json
import stat
from pathlib import Path

import pytest

from tests.configurations import Site
from tests.proxy.commands.test_cli import plexigate
from tests.proxy.doctor.cbom.bills import faults


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def file(site: Site) -> Path:
    return site.write(site.minimal)


def test_bill_is_valid_and_has_no_private_key(site: Site, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = plexigate("doctor", str(file), "--cbom", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "components; no running proxy answers" in result.stderr
    text = out.read_text()
    assert faults(text) == []
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    (_, *lines, _) = site.chat.key.read_text().splitlines()
    assert lines
    assert not any(line in text for line in lines)


def test_former_bill_is_replaced(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text(json.dumps({"metadata": {"component": {"name": "plexigate"}}}))
    assert plexigate("doctor", str(file), "--cbom", str(out)).exit_code == 0
    assert json.loads(out.read_text())["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize("there", ["mine", "[]", '{"metadata": {"component": {"name": "other"}}}', '{"a": 1}'])
def test_any_other_file_is_left_alone(file: Path, tmp_path: Path, there: str) -> None:
    out = tmp_path / "out.json"
    out.write_text(there)
    result = plexigate("doctor", str(file), "--cbom", str(out))
    assert result.exit_code == 2
    assert "is not a bill of materials of Plexigate" in result.stderr
    assert out.read_text() == there


def test_what_cannot_be_read_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    text = site.minimal.replace(str(site.chat.certificate), str(tmp_path / "bad.pem"))
    result = plexigate("doctor", str(site.write(text, "bad.toml")), "--cbom", str(tmp_path / "out.json"))
    assert result.exit_code == 0
    assert "not in it: identity chat, credential 1: " in result.stderr


def test_directory_that_is_not_there(file: Path, tmp_path: Path) -> None:
    result = plexigate("doctor", str(file), "--cbom", str(tmp_path / "none" / "out.json"))
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr


def test_configuration_is_needed(tmp_path: Path) -> None:
    result = plexigate("doctor", "--cbom", str(tmp_path / "out.json"), "--socket", str(tmp_path / "admin.sock"))
    assert result.exit_code == 2
    assert "--cbom needs the configuration" in result.stderr
