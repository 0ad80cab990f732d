"""`plexigate reload`: what it asks, what it says, with which status it ends."""

import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from config.diff import Change, EffectKind
from config.values.problems import Problem
from proxy.commands.cli import app as command_line
from proxy.commands.reload import render
from tests.proxy.commands.admin_sockets import admin_socket

CHANGE = Change("listener.public.pq", EffectKind.DRAINED, "prefer", "require", "classical connections end")
PROBLEM = Problem("/etc/plexigate.toml", "identity.chat.key", '"chat.key", which does not exist', "a readable file")


class Parent:
    """An admin socket with one answer."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = dict(answer)
        self.asked: list[str] = []

    def run(self, *arguments: str) -> Result:
        with TemporaryDirectory() as directory:
            path = Path(directory, "admin.sock")
            with admin_socket(path, [(200, self.answer)]) as self.asked:
                return plexigate(*arguments, "--socket", str(path))


def plexigate(*arguments: str) -> Result:
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(command_line, ["reload", *arguments], env=environment)


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
    assert parent.asked == ["POST /reload"]
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
    assert parent.asked == ["POST /reload?dry_run=1"]
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


def test_the_socket_that_the_configuration_names(tmp_path: Path) -> None:
    file = tmp_path / "plexigate.toml"
    file.write_text('[admin]\nsocket = "a.sock"\n')
    with admin_socket(tmp_path / "a.sock", [(200, DONE)]) as asked:
        assert plexigate("--config", str(file)).exit_code == 0
    assert asked == ["POST /reload"]


@pytest.mark.parametrize("answer", [{}, {**DONE, "changes": [{}]}, {**DONE, "changes": 1}, {"error": "\x1b[2J"}])
def test_an_answer_that_is_no_report(answer: dict[str, Any]) -> None:
    result = Parent(answer).run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("plexigate: POST /reload: status 200 and no report: ")
    assert "\x1b" not in result.stderr


def test_a_proxy_that_does_not_run_is_one_sentence(tmp_path: Path) -> None:
    result = plexigate("--socket", str(tmp_path / "none"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"plexigate: {tmp_path}/none: No such file or directory; is Plexigate running")


def test_a_configuration_that_does_not_even_tell_the_socket(tmp_path: Path) -> None:
    result = plexigate("--config", str(tmp_path / "none.toml"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error")
    assert "none.toml" in result.stderr


RESTART = Change("openssl.providers", EffectKind.RESTART, "nothing", "oqsprovider", "providers are loaded once")
DRAINED = Change("listener.public.pq", EffectKind.DRAINED, "prefer", "require", "classical connections end")
LIVE = Change("limits.body_bytes", EffectKind.LIVE, "1", "2", "for new requests")
ALSO_LIVE = Change("identity.chat.names", EffectKind.LIVE, None, "+ [bold].test", "for new handshakes")


def printed(*changes: Change, width: int = 100) -> list[str]:
    output = StringIO()
    Console(file=output, width=width).print(render(changes))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_changes_are_grouped_by_kind_the_gravest_last() -> None:
    assert printed(RESTART, LIVE, DRAINED, ALSO_LIVE) == [
        "changes live",
        "  limits.body_bytes: 1 -> 2",
        "      for new requests",
        "  identity.chat.names: + [bold].test",
        "      for new handshakes",
        "changes live, and ends connections",
        "  listener.public.pq: prefer -> require",
        "      classical connections end",
        "needs a restart; a reload refuses it",
        "  openssl.providers: nothing -> oqsprovider",
        "      providers are loaded once",
    ]


def test_what_is_too_long_for_a_line_goes_on_below_its_beginning() -> None:
    assert printed(DRAINED, width=24)[-2:] == ["      classical", "      connections end"]


def test_nothing_changes_is_said() -> None:
    assert printed() == ["nothing changes"]
