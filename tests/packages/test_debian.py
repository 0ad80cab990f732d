"""The Debian package, as far as it can be judged without its build: `./dev package` builds and lints it."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from config.loading.loader import load
from config.schema import CredentialConfig

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "debian"
RULES = (DEBIAN / "rules").read_text()
SCRIPTS = (
    "plexigate.postinst",
    "plexigate.prerm",
    "plexigate.postrm",
    "plexigate.sh",
    "tidy.sh",
    "check.sh",
    "tests/smoke",
)


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


def test_settings_of_the_user_do_not_change_what_is_built(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.write_text(f"include {DEBIAN / 'rules'}\nshown:\n\t@env\n")
    settings = {"PYTHONPATH": "/elsewhere", "PLEXIGATE_PURE": "1", "PATH": "/usr/bin:/bin"}
    command = ["make", "-s", "-f", str(shown), "shown"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=20, check=True)
    assert "PIP_DISABLE_PIP_VERSION_CHECK=1" in done.stdout, "the settings of the rules are shown"
    assert not re.search("^(PYTHONPATH|PLEXIGATE_PURE)=", done.stdout, re.MULTILINE)


def test_version_is_that_of_the_program() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (DEBIAN / "changelog").read_text().startswith(f"plexigate ({version}) ")


def test_units_are_the_shipped_ones_with_the_program_of_the_package(made: Path) -> None:
    backup = ("plexigate-backup.service", "plexigate-backup.timer")
    for name in ("plexigate.service", "plexigate.socket", "plexigate.logrotate", *backup):
        ours, theirs = (ROOT / "docker" / name).read_text(), (made / name).read_text()
        assert "/opt/" not in theirs
        assert "docker/" not in theirs
        assert "cp " not in theirs
        changed = set(theirs.splitlines()) - set(ours.splitlines())
        assert len(changed) <= 3, changed
    service = (made / "plexigate.service").read_text()
    assert service.startswith("[Unit]\n")
    assert "\nExecStart=/usr/bin/plexigate run /etc/plexigate/plexigate.toml\n" in service
    create = "\nExecStart=/usr/bin/plexigate backup create --config /etc/plexigate/plexigate.toml\n"
    assert create in (made / backup[0]).read_text()


def test_directories_have_the_owners_and_modes_of_the_unit() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "docker" / "plexigate.service")
    service = unit["Service"]
    lines = [line.split()[:5] for line in (DEBIAN / "plexigate.tmpfiles").read_text().splitlines() if line[0] != "#"]
    assert lines[0] == ["z", "/etc/plexigate", "0750", "root", service["User"]]
    # ":" as the owner of those that are there follows the unit, which may have User=root
    assert all(value.startswith(":") for line in lines[1:] for value in line[2:])
    modes = {path: tuple(value.lstrip(":") for value in rest) for _, path, *rest in lines}
    user = service["User"]
    assert modes["/var/lib/plexigate"] == (service["StateDirectoryMode"], user, user)
    assert modes["/var/log/plexigate"] == (service["LogsDirectoryMode"], user, user)
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


FAKE = """\
#!/bin/sh
name=$(basename "$0")
case "$name $1 $2" in
    "systemctl show --property=User") cat "$world/user" ;;
    "systemctl show --property=Environment") cat "$world/environment" ;;
    "systemctl show "*) ;;
    *) echo "$name $*" >>"$world/calls" ;;
esac
case $name in
    setpriv) while [ "$1" != env ]; do shift; done; exec "$@" ;;
    plexigate) echo "with $SOFTHSM2_CONF, $CREDENTIALS_DIRECTORY"; exit "$(cat "$world/check")" ;;
    deb-systemd-invoke) exit "$(cat "$world/restart")" ;;
    systemctl) [ "$2" != is-active ] || exit "$(cat "$world/stopped")" ;;
esac
"""


class TestConfiguring:
    """The script after the files are there, with programs that only note how they are called."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Path:
        (tmp_path / "bin").mkdir()
        for name in ("systemctl", "setpriv", "plexigate", "deb-systemd-invoke", "systemd-run"):
            (tmp_path / "bin" / name).write_text(FAKE)
            (tmp_path / "bin" / name).chmod(0o755)
        (tmp_path / "lib" / "packaged" / "lib").mkdir(parents=True)
        (tmp_path / "lib" / "packaged" / "name").write_text("1.0-aaaaaaaa\n")
        (tmp_path / "lib" / "tidy").write_text("#!/bin/sh\n")
        (tmp_path / "lib" / "tidy").chmod(0o755)
        (tmp_path / "system").mkdir()
        (tmp_path / "credentials").mkdir()
        for name, text in {
            "user": "plexigate",
            "environment": "",
            "check": "0",
            "restart": "0",
            "stopped": "0",
        }.items():
            (tmp_path / name).write_text(text)
        for source, name in (("plexigate.postinst", "postinst"), ("check.sh", "lib/check")):
            script = (DEBIAN / source).read_text()
            for before, after in (
                ("/usr/lib/plexigate", "lib"),
                ("/run/systemd/system", "system"),
                ("/run/credentials/plexigate.service", "credentials"),
            ):
                script = script.replace(before, str(tmp_path / after))
            (tmp_path / name).write_text(script)
            (tmp_path / name).chmod(0o755)
        return tmp_path

    @staticmethod
    def configure(world: Path, *arguments: str, **settings: str) -> tuple[list[str], str]:
        """What was called, and what was said."""
        for name, text in settings.items():
            (world / name).write_text(text)
        environment = {"PATH": f"{world / 'bin'}:/usr/bin:/bin", "world": str(world)}
        done = subprocess.run(
            ["sh", world / "postinst", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=20,
            check=True,
        )
        assert (world / "lib" / "current").readlink() == Path("1.0-aaaaaaaa")
        calls = (world / "calls").read_text().splitlines() if (world / "calls").exists() else []
        return calls, done.stdout

    def test_a_running_service_is_restarted_by_its_new_unit(self, world: Path) -> None:
        calls, _ = self.configure(world, "configure", "0.9")
        programs = [call for call in calls if "setpriv" not in call]
        assert programs[:2] == ["systemctl daemon-reload", "systemctl --quiet is-active plexigate.service"]
        assert programs[2:4] == [
            "plexigate check /etc/plexigate/plexigate.toml",
            "deb-systemd-invoke restart plexigate.service",
        ]

    @pytest.mark.parametrize("user", ["", "root", "0"])
    def test_a_service_of_root_is_checked_as_root(self, world: Path, user: str) -> None:
        calls, _ = self.configure(world, "configure", "0.9", user=user)
        assert "plexigate check /etc/plexigate/plexigate.toml" in calls
        assert not [call for call in calls if call.startswith("setpriv")]

    def test_the_check_has_the_user_and_the_environment_of_the_unit(self, world: Path) -> None:
        environment = 'SOFTHSM2_CONF=/etc/softhsm.conf "OTHER=two words"'
        calls, said = self.configure(world, "configure", "0.9", user="nobody", environment=environment, check="1")
        assert any(call.startswith("setpriv --reuid=nobody --regid=") and "OTHER=two words" in call for call in calls)
        assert f"with /etc/softhsm.conf, {world / 'credentials'}" in said
        assert "the old version continues" in said
        assert "deb-systemd-invoke restart plexigate.service" not in calls

    def test_a_version_that_does_not_start_does_not_stop_apt(self, world: Path) -> None:
        _, said = self.configure(world, "configure", "0.9", restart="1")
        assert "does not start" in said

    def test_compiled_modules_name_the_place_where_they_stay(self, world: Path) -> None:
        (world / "lib" / "packaged" / "lib" / "one.py").write_text("")
        _, said = self.configure(world, "configure", "0.9")
        assert said == ""
        (compiled,) = (world / "lib" / "1.0-aaaaaaaa").rglob("*.pyc")
        assert str(world / "lib" / "1.0-aaaaaaaa" / "lib" / "one.py").encode() in compiled.read_bytes()

    def test_a_first_installation_starts_nothing(self, world: Path) -> None:
        calls, said = self.configure(world, "configure", "", stopped="3")
        assert "not started yet" in said
        assert not [call for call in calls if "restart" in call]

    def test_an_administrator_checks_without_systemd_too(self, world: Path) -> None:
        (world / "system").rmdir()
        environment = {"PATH": f"{world / 'bin'}:/usr/bin:/bin", "world": str(world)}
        (world / "bin" / "id").write_text("#!/bin/sh\necho 7\n")
        (world / "bin" / "id").chmod(0o755)
        subprocess.run([world / "lib" / "check", "other.toml"], env=environment, check=True, timeout=20)
        first, second = (world / "calls").read_text().splitlines()
        assert first.startswith("setpriv --reuid=plexigate --regid=7 --init-groups --reset-env ")
        assert second == "plexigate check other.toml"

    @pytest.mark.parametrize("arguments", [("abort-upgrade", "2.0"), ("abort-remove",)])
    def test_an_aborted_change_restarts_nothing(self, world: Path, arguments: tuple[str, ...]) -> None:
        calls, _ = self.configure(world, *arguments)
        assert calls == []

    def test_a_removal_stops_the_service_before_its_files_go(self, world: Path) -> None:
        (world / "lib" / "1.0-aaaaaaaa").mkdir()
        script = (DEBIAN / "plexigate.prerm").read_text()
        script = script.replace("/usr/lib/plexigate", str(world / "lib"))
        (world / "prerm").write_text(script.replace("/run/systemd/system", str(world / "system")))
        environment = {"PATH": f"{world / 'bin'}:/usr/bin:/bin", "world": str(world)}
        for argument in ("upgrade", "remove"):
            assert (world / "lib" / "1.0-aaaaaaaa").exists()
            assert not (world / "calls").exists()
            subprocess.run(["sh", world / "prerm", argument], env=environment, check=True, timeout=20)
        assert (
            world / "calls"
        ).read_text() == "deb-systemd-invoke stop plexigate-backup.timer plexigate.socket plexigate.service\n"
        assert not (world / "lib" / "1.0-aaaaaaaa").exists()
