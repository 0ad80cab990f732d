"""`plexigate upgrade`: what it asks, what it shows, with which status it ends."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner, Result

from config.values.problems import Problem
from proxy.commands.cli import app as command_line
from tests.proxy.commands.admin_sockets import admin_socket

PROBLEM = Problem("/etc/plexigate.toml", "identity.chat.key", '"chat.key", which does not exist', "a readable file")
STEPS: list[Any] = [
    {"step": "started", "program": "/opt/plexigate/bin/plexigate", "pid": 4343},
    {"step": "greeted", "version": "0.2.0", "sockets": 4},
    {"step": "configured"},
    {"step": "a step of a later version"},
    {"step": "ready"},
    {"step": "serving", "workers": 2},
]
DONE = {"ok": True, "pid": 4343, "version": "0.2.0"}
FAILED = {"ok": False, "phase": "preparing", "reason": "it ended with status 1", "problems": []}


class Parent:
    """An admin socket that answers with these steps, or breaks off in the next one."""

    def __init__(self, *steps: Any, status: int = 200, is_cut: bool = False) -> None:
        self.answer = b"".join(json.dumps(one).encode() + b"\n" for one in steps) + (b"{" if is_cut else b"")
        self.status = status
        self.asked: list[str] = []

    def run(self, *arguments: str) -> Result:
        with TemporaryDirectory() as directory:
            path = Path(directory, "admin.sock")
            with admin_socket(path, [(self.status, self.answer)]) as self.asked:
                return plexigate(*arguments, "--socket", str(path))


def plexigate(*arguments: str) -> Result:
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(command_line, ["upgrade", *arguments], env=environment)


def test_each_step_is_a_line() -> None:
    parent = Parent(*STEPS, DONE)
    result = parent.run()
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "Started /opt/plexigate/bin/plexigate, process 4343.",
        "It is version 0.2.0, and has the 4 listening sockets.",
        "It has read the configuration.",
        "a step of a later version",
        "Its workers are ready.",
        "Its 2 workers accept connections; the old ones accept no more.",
        "Upgraded: version 0.2.0 serves, process 4343. The old workers finish their connections.",
    ]
    assert parent.asked == ["POST /upgrade"]


def test_program_and_time_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    parent = Parent(DONE)
    assert parent.run("--program", "new/plexigate", "--timeout", "5").exit_code == 0
    assert parent.asked == [f"POST /upgrade?{urlencode({'program': tmp_path / 'new/plexigate', 'seconds': 5})}"]


def test_what_failed_is_said_with_the_problems_as_check_shows_them() -> None:
    result = Parent(STEPS[0], {**FAILED, "problems": [PROBLEM.as_json()]}).run()
    assert result.exit_code == 1
    assert "Not upgraded: it ended with status 1. The old version serves as before." in result.output
    assert "identity.chat.key" in result.output
    assert "a readable file" in result.output


def test_problems_of_another_version_are_shown_as_they_came() -> None:
    result = Parent({**FAILED, "problems": [{"what": "x"}]}).run()
    assert result.exit_code == 1
    assert '[{"what": "x"}]' in result.stderr


def test_json_is_a_line_for_each_step() -> None:
    result = Parent(*STEPS, FAILED).run("--json")
    assert result.exit_code == 1
    assert list(map(json.loads, result.output.splitlines())) == [*STEPS, FAILED]


def test_a_refusal_says_why() -> None:
    result = Parent({"detail": "an upgrade is in progress"}, status=409).run()
    assert result.exit_code == 2
    assert result.stderr == "plexigate: an upgrade is in progress\n"


@pytest.mark.parametrize(
    ("steps", "status"), [([], 2), (STEPS[:1], 1)], ids=["it has not begun", "the proxy was lost on the way"]
)
def test_an_answer_that_breaks_off(steps: list[Any], status: int) -> None:
    result = Parent(*steps, is_cut=True).run()
    assert result.exit_code == status
    assert "admin.sock: a truncated answer; plexigate status shows which version serves" in result.stderr


def test_an_answer_without_an_outcome_says_so() -> None:
    result = Parent(*STEPS).run()
    assert result.exit_code == 1
    assert "plexigate status shows which version serves" in result.stderr


def test_a_proxy_that_was_told_to_stop_does_not_serve_as_before() -> None:
    result = Parent(*STEPS, {**FAILED, "reason": "a shutdown was requested", "serves": False}).run()
    assert result.exit_code == 1
    assert "Not upgraded: a shutdown was requested. Both versions end; their connections drain." in result.output
    assert "as before" not in result.output


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    assert plexigate("--config", str(tmp_path / "none.toml")).exit_code == 2


def test_the_program_has_the_command() -> None:
    result = CliRunner().invoke(command_line, ["upgrade", "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
    assert "plexigate upgrade" in result.output
    assert "--program" in result.output
