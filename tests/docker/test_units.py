"""The units of systemd: what they say fits what Plexigate does, and systemd understands them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import config
from config.schema import Config

DOCKER = Path(__file__).parents[2] / "docker"
DEFAULTS = Config()


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DOCKER / name)
    return parser


SERVICE = unit("plexigate.service")["Service"]


def seconds(key: str) -> float:
    return float(SERVICE[key])


def test_times_of_systemd_are_longer_than_those_of_the_configuration() -> None:
    assert seconds("TimeoutStopSec") > DEFAULTS.limits.drain_seconds + 10
    assert seconds("TimeoutStartSec") > DEFAULTS.reload_seconds + 10
    assert seconds("WatchdogSec") >= 10


def test_a_reload_is_reported() -> None:
    assert SERVICE["Type"] == "notify-reload"
    assert "ReloadSignal" not in SERVICE  # SIGHUP


def test_sockets_are_kept_and_the_parent_alone_is_asked_to_end() -> None:
    """Workers that drain while the next process serves must not be killed with their parent."""
    assert SERVICE["KillMode"] == "process"
    assert int(SERVICE["FileDescriptorStoreMax"]) >= 4 * 64  # addresses of two families for two listeners, and cores


def test_drop_in_for_local_tokens_opens_what_the_unit_hides() -> None:
    hidden = {key for key in ("PrivateDevices", "ProtectSystem") if SERVICE[key] in ("yes", "strict")}
    assert hidden == {"PrivateDevices", "ProtectSystem"}
    text = (DOCKER / "plexigate-token.conf").read_text()
    drop_in = unit("plexigate-token.conf")["Service"]
    assert drop_in["PrivateDevices"] == "no"
    assert drop_in["ReadWritePaths"] == "-/var/lib/softhsm/tokens"
    assert set(re.findall(r"^DeviceAllow=(.*)$", text, re.MULTILINE)) == {"char-usb_device rw", "char-hidraw rw"}
    assert "plexigate-token.conf" in (DOCKER / "plexigate.service").read_text()


def test_one_user_with_one_capability_and_no_core_dumps() -> None:
    assert SERVICE["User"] == "plexigate"
    assert SERVICE["AmbientCapabilities"] == SERVICE["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
    assert SERVICE["LimitCORE"] == "0"


def test_descriptors_suffice_for_two_for_each_connection() -> None:
    assert int(SERVICE["LimitNOFILE"]) > 2 * DEFAULTS.limits.connections * 4  # listeners


def test_directories_are_those_that_are_documented() -> None:
    places = [SERVICE[f"{kind}Directory"] for kind in ("Runtime", "Logs", "State")]
    assert places == ["plexigate"] * 3
    assert SERVICE["StateDirectoryMode"] == "0700"
    assert "/var/log/plexigate/" in (DOCKER / "plexigate.logrotate").read_text()


def test_sockets_are_those_of_the_example() -> None:
    text = (DOCKER / "plexigate.socket").read_text()
    example = (Path(config.__file__).parent / "example.toml").read_text()
    bind = re.search(r"^\[listener\.(\w+)\].*?^bind = \[(.*?)\]$", example, re.MULTILINE | re.DOTALL)
    assert bind is not None
    assert re.findall(r"^ListenStream=(.*)$", text, re.MULTILINE) == re.findall(r'"(.*?)"', bind[2])
    assert re.findall(r"^FileDescriptorName=(.*)$", text, re.MULTILINE) == [bind[1]]


def test_the_log_is_reopened_by_the_parent_if_it_runs() -> None:
    text = (DOCKER / "plexigate.logrotate").read_text()
    assert "if systemctl --quiet is-active plexigate.service; then" in text
    assert re.findall("^/.*", text, re.MULTILINE) == ["/var/log/plexigate/access.jsonl {"]  # never the audit log
    assert "systemctl kill --kill-whom=main --signal=SIGUSR1 plexigate.service" in text
    assert "nocreate" in text


def test_the_command_is_where_the_image_has_it() -> None:
    program, command, _ = SERVICE["ExecStart"].split()
    assert program == "/opt/plexigate/venv/bin/plexigate"
    assert command == "run"
    assert "WORKDIR /opt/plexigate" in (DOCKER / "Dockerfile").read_text()


def test_commands_to_install_put_everything_where_the_unit_looks() -> None:
    root = DOCKER.parent
    install = (
        (root / "docs" / "deploy.md").read_text().partition("\n## As a service of systemd\n")[2].partition("\n## ")[0]
    )
    found = re.search(r'^version = "(.+)"$', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    program, _, configuration = SERVICE["ExecStart"].split()
    place = f"/opt/plexigate/venv-{found[1]}"
    for command in (
        f"useradd --system .* {SERVICE['User']}",
        f"/usr/bin/python3 -m venv {place}",
        f"{place}/bin/pip install --require-hashes -r constraints.txt",
        f"{place}/bin/pip install --no-deps .",
        f"ln -sfn venv-{found[1]} {Path(program).parents[1]}",
        f"setpriv --reuid={SERVICE['User']} (?s:.*?) plexigate check {configuration}",
        "cp docker/plexigate.service /etc/systemd/system/",
        "systemctl daemon-reload && systemctl enable --now plexigate",
    ):
        assert re.search(f"^# {command}", install, re.MULTILINE), command
    assert set(re.findall(r"docker/[\w.-]+", install)) <= {f"docker/{path.name}" for path in DOCKER.iterdir()}


def of_root() -> str:
    """The unit with the lines that its comments give for User=root."""
    text = (DOCKER / "plexigate.service").read_text()
    given = re.findall(r"(?m)^#   (\w+)=(.*)$", text)
    assert [key for key, _ in given] == ["User", "AmbientCapabilities", "CapabilityBoundingSet", "SystemCallFilter"]
    for key, value in given[:3]:
        text = re.sub(rf"(?m)^{key}=.*$", f"{key}={value}", text)
    return text.replace("#   SystemCallFilter=", "SystemCallFilter=")


def test_root_may_become_another_user_and_the_other_user_may_not() -> None:
    filters = re.findall(r"(?m)^SystemCallFilter=(.*)$", of_root())
    assert filters == ["@system-service", "~@privileged", "@setuid"]  # the later one wins
    assert SERVICE["SystemCallFilter"] == "~@privileged"


def test_the_backup_has_the_user_and_state_of_the_service_and_a_directory_of_its_own() -> None:
    backup = unit("plexigate-backup.service")["Service"]
    program = SERVICE["ExecStart"].split()[0]
    assert backup["ExecStart"] == f"{program} backup create --config /etc/plexigate/plexigate.toml"
    assert (backup["User"], backup["StateDirectoryMode"]) == (SERVICE["User"], SERVICE["StateDirectoryMode"])
    # the program takes the first one as its state directory
    assert backup["StateDirectory"].split() == [SERVICE["StateDirectory"], "plexigate-backups"]
    assert unit("plexigate-backup.timer")["Timer"]["Persistent"] == "true"


def test_exposure_is_low_for_either_user(tmp_path: Path) -> None:
    """By the measure of systemd, from 0 to 10; tenths here."""
    for name, text, most in (
        ("one", (DOCKER / "plexigate.service").read_text(), 17),
        ("root", of_root(), 25),
        ("backup", (DOCKER / "plexigate-backup.service").read_text(), 13),
    ):
        file = tmp_path / f"{name}.service"
        file.write_text(text)
        checked = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", str(file)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


def test_systemd_understands_them(tmp_path: Path) -> None:
    units = [DOCKER / f"plexigate{name}" for name in (".service", ".socket", "-backup.service", "-backup.timer")]
    for path in units:
        text = re.sub("(?m)^ExecStart=.*", "ExecStart=/bin/true", path.read_text())  # it is looked for
        (tmp_path / path.name).write_text(text)
    directory = tmp_path / "plexigate.service.d"
    directory.mkdir()
    shutil.copy(DOCKER / "plexigate-token.conf", directory / "token.conf")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *[str(tmp_path / path.name) for path in units]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
