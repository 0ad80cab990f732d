"""`plexigate fleet ...`, run against a real admin server on a real socket."""

import json
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from tests.fakes_admin import NOW
from tests.proxy.commands.test_running import Running, plexigate, running

__all__ = ["plexigate", "running"]


def test_status_shows_members_and_who_asks(running: Running) -> None:
    output = running.run("fleet", "status").output
    for words in (
        "edge-1, key a1a1",
        "member, epoch 1",
        "revision 7",
        "founder",
        "2026-06-01 12:00:00Z",
        "asks to join",
    ):
        assert words in output
    document = json.loads(running.run("fleet", "status", "--json").output)
    assert document == running.control.fleet.document


def test_status_of_a_node_that_has_not_joined(running: Running) -> None:
    none: dict[str, Any] = {"epoch": None, "leader": None, "tickets_until": None, "members": [], "requests": []}
    running.control.fleet.document |= {**none, "fault": "no answer within 1.5 s"}
    output = running.run("fleet", "status").output
    for words in ("has not joined", "no answer within 1.5 s", "none"):
        assert words in output


def test_a_token_is_written_and_given_by_standard_input(running: Running) -> None:
    assert running.run("fleet", "invite").output == "0123456789abcdef.secret\n"
    said = running.run("fleet", "join", given="0123456789abcdef.secret\n")
    assert said.output == (f"edge-2 asks to join. On a member: plexigate fleet approve edge-2 (key {'b2' * 16})\n")
    assert running.control.fleet.told == [("invite",), ("join", "0123456789abcdef.secret\n")]
    nothing = running.run("fleet", "join", given="\n")
    assert nothing.exit_code == 1
    assert "standard input has no token" in nothing.output


def test_a_node_is_approved_and_a_restored_store_is_used(running: Running) -> None:
    assert running.run("fleet", "approve", "edge-2").output == f"edge-2 is a member (key {'b2' * 16}).\n"
    assert json.loads(running.run("fleet", "approve", "edge-2", "--json").output)["since"] == NOW
    assert running.run("fleet", "accept-restore").output == "edge-1 uses the store from revision 7 on.\n"
    assert running.control.fleet.told == [("approve", "edge-2"), ("approve", "edge-2"), ("accept-restore",)]


@pytest.mark.parametrize("words", [("status",), ("invite",), ("approve", "edge-2"), ("accept-restore",)])
def test_a_refusal_is_said(running: Running, words: tuple[str, ...]) -> None:
    running.control.fleet.error = CommandRefused(404, "this configuration has no [fleet]")
    said = running.run("fleet", *words)
    assert said.exit_code == 1
    assert "this configuration has no [fleet]" in said.output
