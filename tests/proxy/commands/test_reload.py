"""`plexigate reload`: what it asks, what it says, with which status it ends."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from config.diff import Change, EffectKind
from config.problems import ConfigError, Problem
from proxy.admin.client import AdminUnreachable
from proxy.commands.cli import app as command_line
from proxy.commands.reload import AdminClient, reload_command

CHANGE = Change("listener.public.pq", EffectKind.DRAINED, "prefer", "require", "classical connections end")
PROBLEM = Problem("/etc/plexigate.toml", "identity.chat.key", '"chat.key", which does not exist', "a readable file")


class Parent:
    """An admin socket with one answer."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = dict(answer)
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.found_by: list[tuple[Path | None, Path | None]] = []

    def connect(self, config: Path | None, socket: Path | None) -> AdminClient:
        self.found_by.append((config, socket))
        return self

    def post(self, path: str, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        self.asked.append((path, query))
        return 200, self.answer

    def run(self, *arguments: str) -> Result:
        app = typer.Typer()
        app.command()(reload_command(self.connect))
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def report(*, ok: bool, changes: tuple[Change, ...] = (), problems: tuple[Problem, ...] = ()) -> dict[str, Any]:
    return {
        "ok": ok,
        "dry_run": False,
        "generation": 7,
        "changes": [change.as_json() for change in changes],
        "problems": [problem.as_json() for problem in problems],
    }


DONE = report(ok=True, changes=(CHANGE,))
REFUSED = report(ok=False, problems=(PROBLEM,))


def test_a_reload_that_is_done() -> None:
    parent = Parent(DONE)
    result = parent.run()
    assert parent.asked == [("/reload", {})]
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "changes live, and ends connections",
        "  listener.public.pq: prefer -> require",
        "      classical connections end",
        "Reloaded: generation 7 serves.",
    ]


def test_a_dry_run() -> None:
    parent = Parent(DONE)
    result = parent.run("--dry-run")
    assert parent.asked == [("/reload", {"dry_run": "1"})]
    assert result.exit_code == 0
    assert result.stdout.endswith("Reload is possible. Generation 7 continues unchanged.\n")


def test_nothing_changes() -> None:
    result = Parent(report(ok=True)).run()
    assert (result.exit_code, result.stdout) == (0, "nothing changes\nReloaded: generation 7 serves.\n")


def test_problems_with_file_key_found_and_allowed() -> None:
    result = Parent(REFUSED).run()
    assert result.exit_code == 1
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["error", "identity.chat.key"],
        ["in", "/etc/plexigate.toml"],
        ["found", '"chat.key",', "which", "does", "not", "exist"],
        ["allowed", "a", "readable", "file"],
        ["Refused:", "generation", "7", "continues", "unchanged."],
    ]


def test_what_needs_a_restart_is_shown_and_refused() -> None:
    change = Change("openssl.providers", EffectKind.RESTART, "nothing", "oqsprovider", "loaded once")
    result = Parent(report(ok=False, changes=(change,))).run("--dry-run")
    assert result.exit_code == 1
    assert "needs a restart" in result.stdout
    assert "Refused: generation 7" in result.stdout


@pytest.mark.parametrize(("answer", "status"), [(DONE, 0), (REFUSED, 1)])
def test_json_is_the_report_as_it_came(answer: dict[str, Any], status: int) -> None:
    result = Parent(answer).run("--json")
    assert (result.exit_code, json.loads(result.stdout)) == (status, answer)


def test_where_the_socket_is_looked_for() -> None:
    parent = Parent(DONE)
    parent.run("--config", "a.toml")
    parent.run("--socket", "b.sock")
    parent.run()
    assert parent.found_by == [(Path("a.toml"), None), (None, Path("b.sock")), (None, None)]


@pytest.mark.parametrize("answer", [{}, {**DONE, "changes": [{}]}, {**DONE, "changes": 1}, {"error": "\x1b[2J"}])
def test_an_answer_that_is_no_report(answer: dict[str, Any]) -> None:
    result = Parent(answer).run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("plexigate: POST /reload: status 200 and no report: ")
    assert "\x1b" not in result.stderr


def test_a_proxy_that_does_not_run_is_one_sentence() -> None:
    def connect(_config: Path | None, _socket: Path | None) -> AdminClient:
        raise AdminUnreachable("/run/admin.sock", "No such file or directory", "is Plexigate running?")

    app = typer.Typer()
    app.command()(reload_command(connect))
    result = CliRunner().invoke(app, [])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "plexigate: /run/admin.sock: No such file or directory; is Plexigate running?\n"


def test_a_configuration_that_does_not_even_tell_the_socket() -> None:
    def connect(_config: Path | None, _socket: Path | None) -> AdminClient:
        raise ConfigError([PROBLEM])

    app = typer.Typer()
    app.command()(reload_command(connect))
    result = CliRunner().invoke(app, ["--config", "plexigate.toml"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error  identity.chat.key")


def test_it_is_a_command_of_plexigate(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_line, ["reload", "--socket", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "No such file or directory; is Plexigate running" in result.stderr
