"""The parts of ./dev that need no installation: what it says, and how it reads config/dev.toml."""

import ast
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from config.loading.loader import load
from config.schema import CredentialConfig
from tests import syntax

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


def listed(*names: str) -> list[str]:
    """The places in tests that these lists of the script have."""
    parts = re.findall(rf'^(?:{"|".join(names)})="(.*?)"$', SCRIPT, re.MULTILINE | re.DOTALL)
    return sorted(word for part in parts for word in part.split() if word.startswith("tests/"))


def test_every_test_is_run() -> None:
    places = [one for one in (ROOT / "tests").iterdir() if next(one.rglob("test_*.py"), None) or one.match("test_*.py")]
    assert len(places) > 8
    assert listed("units", "files", "packages", "programs") == sorted(f"tests/{one.name}" for one in places)


def test_marked_tests_are_in_programs_where_their_stage_finds_them() -> None:
    files = (ROOT / "tests").rglob("*.py")
    named = {one for one in files if re.search(r"pytest\.mark\.(alone|paced)\b", one.read_text())} - {Path(__file__)}
    assert len(named) > 30
    assert all(one.match("test_*.py") for one in named)
    assert {f"tests/{one.relative_to(ROOT / 'tests').parts[0]}" for one in named} <= set(listed("programs"))


# Programs of packages that every Debian has ("Essential: yes", and what it cannot do without).
ESSENTIAL = frozenset(
    {
        "sh",
        "bash",
        "dash",
        "env",
        "chown",
        "cp",
        "tar",
        "true",
        "false",
        "mount",
        "nsenter",
        "prlimit",
        "setpriv",
        "unshare",
    }
)
# What has a command of its own, and no test.
APART = ("soak", "image", "fresh", "debian_roots.py")
# Other programs of a package that is asked for by one of them.
BESIDE = {
    "tstclnt": "certutil",
    "pebble-challtestsrv": "pebble",
    "h2load": "nghttp",
    "vgdb": "valgrind",
    "pkcsconf": "pkcsslotd",
    "etcdutl": "etcd",
}


def imported_by(files: Iterable[Path]) -> set[Path]:
    """These files and all of the tests that they import."""
    reached, left = set[Path](), list(files)
    while left:
        path = left.pop()
        if path in reached:
            continue
        reached.add(path)
        for node in syntax.nodes(syntax.tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("tests"):
                place = ROOT.joinpath(*node.module.split("."))
                named = [place.with_suffix(".py"), *(place / f"{one.name}.py" for one in node.names)]
                left += [one for one in named if one.exists()]
    return reached


def programs_called(files: Iterable[Path]) -> dict[str, set[str]]:
    """Program -> files: what stands first in a list that is run, or called a command; what is asked for as a tool."""
    found: dict[str, set[str]] = {}
    for path in files:
        for node in syntax.nodes(syntax.tree(path)):
            value: ast.expr | None = None
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "subprocess.run",
                "subprocess.Popen",
                "program",
            }:
                value = node.args[0] if node.args else None
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "command":
                value = node.value
            first = value.elts[0] if isinstance(value, ast.List) and value.elts else None
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "tool":
                first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.setdefault(Path(first.value).name, set()).add(path.name)
    return found


def asked_for_by(function: str) -> list[tuple[str, str]]:
    """Packages and programs that a function of the script needs, with those of the functions that it calls."""
    (body,) = re.findall(rf"^{function}\(\) \{{\n(.*?)^\}}\n", SCRIPT, re.MULTILINE | re.DOTALL)
    asked_for = re.findall(r"^ +need (\S+) (\S+) ", body, re.MULTILINE)
    for called in re.findall(r"^ +(need_\w+)$", body, re.MULTILINE):
        asked_for += asked_for_by(called)
    return asked_for


@pytest.mark.parametrize(
    ("command", "some"),
    [
        ("test", {"ss", "openssl", "curl", "gcc", "pebble"}),
        ("soak", {"pebble", "gcc"}),
        ("image", {"debootstrap", "curl"}),
        ("fresh", {"debootstrap", "git"}),
    ],
)
def test_every_program_that_is_called_is_installed_first(command: str, some: set[str]) -> None:
    files = (ROOT / "tests").rglob("*.py")
    if command == "test":
        called = programs_called(one for one in files if not set(APART) & set(one.relative_to(ROOT).parts))
    else:
        called = programs_called(imported_by(one for one in files if command in one.relative_to(ROOT).parts))
    assert some <= set(called)
    asked_for = {program for _, program in asked_for_by(f"dev_{command}")}
    known = asked_for | ESSENTIAL | {other for other, first in BESIDE.items() if first in asked_for}
    assert {name: files for name, files in called.items() if name not in known} == {}


@pytest.mark.parametrize("command", ["run", "test", "bench", "soak", "image", "fresh"])
def test_no_package_is_asked_for_twice_in_one_command(command: str) -> None:
    packages = [package for package, _ in asked_for_by(f"dev_{command}")]
    assert packages
    assert len(packages) == len(set(packages))


def test_stage_that_fails_stops_no_other_and_is_named(tmp_path: Path) -> None:
    """With the functions of the script itself."""
    functions = "".join(
        re.search(rf"^{name}\(\) .*?^\}}\n|^{name}\(\) \{{.*\}}\n", SCRIPT, re.MULTILINE | re.DOTALL)[0]  # type: ignore[index]
        for name in ("say", "die", "stage", "used", "finish")
    )
    text = f"set -eu\nfailed= times= counted=.dev/cpu\n{functions}stage one false\nstage two echo ran\nstage 'number three' false\nfinish\n"
    done = subprocess.run(["sh", "-c", text], capture_output=True, cwd=tmp_path, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (1, "ran\n")
    assert re.sub(r"\d+ s", "0 s", done.stderr) == (
        "took:\n  0 s, 0 s of CPU  one\n  0 s, 0 s of CPU  two\n  0 s, 0 s of CPU  number three\n./dev: failed:\n  one\n  number three\n"
    )
    subprocess.run(
        ["sh", "-c", text.replace("false", "true")], capture_output=True, cwd=tmp_path, timeout=20, check=True
    )


def test_stage_at_the_side_of_others_is_shown_and_counted_when_it_has_ended(tmp_path: Path) -> None:
    """With the functions of the script itself."""
    functions = "".join(
        re.search(rf"^{name}\(\) .*?^\}}\n|^{name}\(\) \{{.*\}}\n", SCRIPT, re.MULTILINE | re.DOTALL)[0]  # type: ignore[index]
        for name in ("say", "die", "stage", "used", "aside", "join", "finish")
    )
    text = (
        "set -eu\nfailed= times= politely= counted=.dev/cpu\nslow() { $politely cat pipe; $politely nice; return 1; }\n"
        f"{functions}stages() {{ stage two slow; }}\n"
        "mkfifo pipe\nstage one true\naside stages\nstage three sh -c 'echo said >pipe'\njoin\n"
        "aside stage four nice\njoin\nfinish\n"
    )
    command = ["sh", "-c", text]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout.splitlines()[:2]) == (1, ["said", "19"])
    assert re.sub(r"\d+ s", "0 s", done.stderr) == (
        "took:\n  0 s, 0 s of CPU  one\n  0 s, 0 s of CPU  three\n  0 s, 0 s of CPU  two\n  0 s, 0 s of CPU  four\n./dev: failed:\n  two\n"
    )


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
    assert loaded.file.resolve(credential.certificate).resolve() == ROOT / ".dev" / "server.pem"


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


def test_demo_waits_for_nothing_that_only_compiles_or_tests() -> None:
    """The compiler, its headers and mypy come while the demo serves."""
    assert {package for package, _ in asked_for_by("dev_run")} == {"openssl", "softhsm2", "curl"}
    (demo,) = re.findall(r"^dev_run\(\) \{\n(.*?)^\}\n", SCRIPT, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^ +prepare (.*)$", demo, re.MULTILINE) == ['"$default" constraints.txt']
    assert ("gcc", "gcc") in asked_for_by("compile_the_demo")


def test_zombie_and_process_that_is_gone_do_not_live() -> None:
    """After an upgrade the demo's proxy is not a child of the script, and process 1 of a container may wait for none."""
    function = re.search(r"^lives\(\) \{.*?^\}\n", SCRIPT, re.MULTILINE | re.DOTALL)
    assert function is not None
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    text = f"set -eu\n{function[0]}for one in $$ {zombie.pid} 0; do lives $one && echo yes || echo no; done\n"
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=20, check=True)
    zombie.wait()
    assert (done.stdout, done.stderr) == ("yes\nno\nno\n", "")


def test_program_of_the_demo_runs_these_packages(tmp_path: Path) -> None:
    """Also where the path has a space."""
    function = re.search(r"^demo_program\(\) \{.*?^\}\n", SCRIPT, re.MULTILINE | re.DOTALL)
    assert function is not None
    place = tmp_path / "a place"
    (place / ".dev").mkdir(parents=True)
    (place / "bin").mkdir()
    program = place / "bin" / "plexigate"
    program.write_text('#!/bin/sh\nprintf "%s|" "$PYTHONPATH" "$PYTHONSAFEPATH" "$@"\n')
    program.chmod(0o755)
    text = f'set -eu\n{function[0]}bin=bin; "$(demo_program "/built here")" run "two words"\n'
    done = subprocess.run(["sh", "-c", text], cwd=place, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "/built here|1|run|two words|"
