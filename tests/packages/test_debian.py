"""The Debian package, as far as it can be judged without its build: `./dev package` builds and lints it."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from config.loader import load
from config.schema import CredentialConfig

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "debian"
RULES = (DEBIAN / "rules").read_text()
SCRIPTS = ("plexigate.postinst", "plexigate.prerm", "plexigate.postrm", "plexigate.sh", "tidy.sh", "tests/smoke")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of units and logrotate as the package has them, made by its rules."""
    place = tmp_path_factory.mktemp("made")
    for name in ("debian", "docker"):
        shutil.copytree(ROOT / name, place / name)
    names = re.findall(r"^MADE := (.*)$", RULES, re.MULTILINE)[0].split()
    command = ["make", "--silent", "-f", "debian/rules", *names]
    subprocess.run(command, cwd=place, capture_output=True, timeout=60, check=True)
    return place / "debian"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_plain_sh(name: str) -> None:
    text = (DEBIAN / name).read_text()
    assert text.startswith("#!/bin/sh\n")
    subprocess.run(["dash", "-n", DEBIAN / name], check=True, timeout=20)


def test_version_is_that_of_the_program() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (DEBIAN / "changelog").read_text().startswith(f"plexigate ({version}) ")


def test_units_are_the_shipped_ones_with_the_program_of_the_package(made: Path) -> None:
    for name in ("plexigate.service", "plexigate.socket", "plexigate.logrotate"):
        ours, theirs = (ROOT / "docker" / name).read_text(), (made / name).read_text()
        assert "/opt/" not in theirs
        assert "docker/" not in theirs
        assert "cp " not in theirs
        changed = set(theirs.splitlines()) - set(ours.splitlines())
        assert len(changed) <= 3, changed
    service = (made / "plexigate.service").read_text()
    assert service.startswith("[Unit]\n")
    assert "\nExecStart=/usr/bin/plexigate run /etc/plexigate/plexigate.toml\n" in service


def test_directories_have_the_owners_and_modes_of_the_unit() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "docker" / "plexigate.service")
    service = unit["Service"]
    lines = [line.split()[:5] for line in (DEBIAN / "plexigate.tmpfiles").read_text().splitlines() if line[0] != "#"]
    modes = {path: (mode, user, group) for _, path, mode, user, group in lines}
    user = service["User"]
    assert modes["/var/lib/plexigate"] == (service["StateDirectoryMode"], user, user)
    assert modes["/var/log/plexigate"] == (service["LogsDirectoryMode"], user, user)
    assert modes["/etc/plexigate"] == ("0750", "root", user)
    assert (DEBIAN / "plexigate.sysusers").read_text().split()[:2] == ["u", user]


def test_configuration_needs_only_a_certificate_and_its_key(tmp_path: Path) -> None:
    """What is right in it stays right; `plexigate check` then names what is to be filled in."""
    shutil.copy(DEBIAN / "plexigate.toml", tmp_path)
    (identity,) = load(tmp_path / "plexigate.toml").config.identity.values()
    (credential,) = identity.credentials
    assert isinstance(credential, CredentialConfig)
    assert not (tmp_path / credential.certificate).exists()
    used = set(re.findall(r"^(\[.*\]|\w+) ?", (DEBIAN / "plexigate.toml").read_text(), re.MULTILINE))
    assert "[listener.public]" in used


def test_every_packaged_file_exists() -> None:
    named = re.findall(r"install (?:-D )?-m \d+ ((?:[\w.-]+/[\w./-]+ )+)", RULES)
    paths = [path for line in named for path in line.split() if not path.startswith("debian/plexigate/")]
    assert len(paths) >= 6
    assert [path for path in paths if not (ROOT / path).exists()] == []
    documents = (DEBIAN / "plexigate.docs").read_text().split()
    assert [path for path in documents if not (ROOT / path).exists()] == []


def test_each_silenced_tag_of_lintian_has_its_reason() -> None:
    lines = (DEBIAN / "plexigate.lintian-overrides").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        assert line.startswith("#") or before.split()[0] in {"#", "plexigate:"}, line


class TestTidying:
    """Old versions: removed when nothing runs them any more."""

    @pytest.fixture
    def versions(self, tmp_path: Path) -> Path:
        for name in ("packaged", "1.0-aaaaaaaa", "1.1-bbbbbbbb", "1.2-cccccccc"):
            (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / "current").symlink_to("1.2-cccccccc")
        shutil.copy("/usr/bin/sleep", tmp_path / "1.0-aaaaaaaa" / "bin" / "sleep")
        script = (DEBIAN / "tidy.sh").read_text()
        (tmp_path / "tidy").write_text(script.replace("/usr/lib/plexigate", str(tmp_path)))
        return tmp_path

    @staticmethod
    def left(versions: Path) -> set[str]:
        return {one.name for one in versions.iterdir()}

    def test_what_runs_and_what_is_current_stays(self, versions: Path) -> None:
        command = [str(versions / "1.0-aaaaaaaa" / "bin" / "sleep"), "60"]
        with subprocess.Popen(command) as running:
            subprocess.run(["sh", versions / "tidy"], check=True, timeout=20)
            running.kill()
        assert {"1.0-aaaaaaaa", "1.2-cccccccc", "packaged", "tidy", "current"} == self.left(versions)
        subprocess.run(["sh", versions / "tidy"], check=True, timeout=20)
        assert {"1.2-cccccccc", "packaged", "tidy", "current"} == self.left(versions)
