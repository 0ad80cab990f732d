"""`plexigate payload ...`, run against a real admin server on a real socket."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from tests.proxy.commands.test_running import Running, plexigate, running

__all__ = ["running"]


def test_list_is_a_table_without_secrets(running: Running) -> None:
    shown = running.run("payload", "list")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.output.splitlines()]
    assert lines[0] == ["ring", "key", "state", "since", "messages", "ended"]
    assert lines[1] == ["chat", "2", "active", "2026-06-01", "12:00:00Z", "12,345"]
    assert lines[2][:2] == ["1", "revoked"]
    assert json.loads(running.run("payload", "list", "--json").output)["rings"][0]["name"] == "chat"


@pytest.mark.parametrize(
    ("words", "told", "sentence"),
    [
        (("rotate", "chat"), ("rotate", "chat"), "Ring chat encrypts with key 3.\n"),
        (("retire", "chat", "2"), ("retire", "chat", 2), "Key 2 of ring chat is retired.\n"),
        (("revoke", "chat", "2"), ("revoke", "chat", 2), "Key 2 of ring chat is revoked.\n"),
    ],
)
def test_what_changes_is_said(running: Running, words: tuple[str, ...], told: tuple[Any, ...], sentence: str) -> None:
    assert running.run("payload", *words).output == sentence
    assert json.loads(running.run("payload", *words, "--json").output)["ring"] == "chat"
    assert running.control.payload.told == [told, told]


def test_export_goes_to_a_file_that_nobody_else_reads(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert running.run("payload", "export", "chat", "--output", str(file)).output == ""
    assert json.loads(file.read_text())["keys"][0]["key"] == "b2"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert running.run("payload", "export", "chat", "--multifernet").output == "b2\nb1\n"
    file.write_text("the only copy of something else")
    for command in (("export", "chat"), ("identity",)):
        refused = running.run("payload", *command, "--output", str(file))
        assert (refused.exit_code, "exists and has other content" in refused.output) == (1, True)
        assert file.read_text() == "the only copy of something else"
        assert running.run("payload", *command, "--output", str(file), "--force").exit_code == 0
        assert json.loads(file.read_text())
        file.write_text("the only copy of something else")
    failed = running.run("payload", "export", "chat", "--output", str(tmp_path / "missing" / "keys.json"))
    assert (failed.exit_code, "No such file" in failed.output) == (1, True)


def test_identity_is_written_as_json(running: Running) -> None:
    assert json.loads(running.run("payload", "identity").output) == {"ecdsa-p256-sha256": "AA", "ml-dsa-65": "BB"}
    assert running.control.payload.told == [("identity",)]
    replaced = json.loads(running.run("payload", "identity", "--replace").output)
    assert replaced == {"ecdsa-p256-sha256": "CC", "ml-dsa-65": "DD"}
    assert running.control.payload.told == [("identity",), ("replace identity",)]


def test_refusal_is_a_sentence_and_a_status(running: Running) -> None:
    running.control.payload.error = CommandRefused(404, 'there is no payload ring "other"')
    failed = running.run("payload", "rotate", "other")
    assert (failed.exit_code, failed.output) == (1, 'plexigate: there is no payload ring "other"\n')


def test_proxy_that_does_not_run_is_said(tmp_path: Path) -> None:
    failed = plexigate("payload", "list", "--socket", str(tmp_path / "none"))
    assert failed.exit_code == 1
    assert "is Plexigate running" in failed.output
