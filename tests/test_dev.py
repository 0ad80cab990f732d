"""The parts of ./dev that need no installation: what it says, and how it reads config/dev.toml."""

import re
import subprocess
from pathlib import Path

import pytest

from config.loader import load
from config.schema import CredentialConfig

ROOT = Path(__file__).parents[1]
SCRIPT = (ROOT / "dev").read_text()


def dev(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ./dev from another directory."""
    command = [str(ROOT / "dev"), *arguments]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help_lists_every_command(arguments: tuple[str, ...]) -> None:
    answer = dev(*arguments)
    assert answer.returncode == 0
    assert set(re.findall(r"^\./dev (\w+)", answer.stdout, re.MULTILINE)) == set(
        re.findall(r"^dev_(\w+)\(\)", SCRIPT, re.MULTILINE)
    )


def test_every_test_is_run() -> None:
    (lists,) = re.findall(r'^ +units="(.*)"\n +programs="(.*)"$', SCRIPT, re.MULTILINE)
    places = [one for one in (ROOT / "tests").iterdir() if next(one.rglob("test_*.py"), None) or one.match("test_*.py")]
    assert len(places) > 8
    assert sorted(" ".join(lists).split()) == sorted(f"tests/{one.name}" for one in places)


def test_unknown_command_is_an_error_that_shows_the_known_ones() -> None:
    answer = dev("tset")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "./dev test" in answer.stderr


def test_unusable_python_is_refused_with_what_is_needed() -> None:
    answer = dev("lint", PYTHON="/bin/false")
    assert answer.returncode == 1
    assert answer.stderr == "./dev: /bin/false cannot be used: it has to be Python 3.11 or newer with ssl and venv\n"


@pytest.mark.parametrize("interpreter", ["dash", "bash"])
def test_script_is_plain_sh(interpreter: str) -> None:
    subprocess.run([interpreter, "-n", ROOT / "dev"], check=True, timeout=20)


def test_addresses_of_the_demo_stand_where_the_script_reads_them() -> None:
    lines = (ROOT / "config" / "dev.toml").read_text()
    loaded = load(ROOT / "config" / "dev.toml")
    (bind,), (server,) = loaded.config.listener["public"].bind, loaded.config.upstream["chat"].servers
    assert re.findall(r'^bind = "(.*)"', lines, re.MULTILINE) == [str(bind)]
    assert re.findall(r'^servers = \["http://(.*)"\]', lines, re.MULTILINE) == [
        f"{server.address.host}:{server.address.port}"
    ]
    (credential,) = loaded.config.identity["demo"].credentials
    assert isinstance(credential, CredentialConfig)
    assert loaded.resolve(credential.certificate).resolve() == ROOT / ".dev" / "server.pem"


def test_state_of_the_demo_stays_in_its_directory() -> None:
    """As root its PINs and versions of keys would be remembered among those of a proxy that serves."""
    (demo,) = re.findall(r"^dev_run\(\) \{\n(.*?)^\}\n", SCRIPT, re.MULTILINE | re.DOTALL)
    directory = 'export STATE_DIRECTORY="$PWD/.dev/state"\n'
    assert directory in demo
    assert demo.index(directory) < demo.index('"$bin/plexigate"')
    named = "SOFTHSM2_CONF=.dev/hsm/softhsm2.conf STATE_DIRECTORY=.dev/state"
    assert f"{named} $bin/plexigate hsm list --config config/dev.toml\n" in demo


def test_ci_runs_the_tests_and_nothing_it_could_pass_without() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "./dev test"]
