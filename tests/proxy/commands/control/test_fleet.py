"""`plexigate fleet ...`, run against a real admin server on a real socket."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.admin.requests.problems import CommandRefused
from proxy.commands.cli import app
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


def test_status_names_who_is_away_who_differs_and_whose_audit_log_was_changed(running: Running) -> None:
    one, other = running.control.fleet.document["members"]
    row = next(line for line in running.run("fleet", "status").output.splitlines() if line.startswith("edge-3"))
    assert "away" in row
    other |= {"alive": True, "version": "0.2.0", "schema": 2, "configuration": "d1" * 32, "differs": True}
    one["log_fault"] = "it has 6 lines, and had 7"
    output = running.run("fleet", "status").output
    row = next(line for line in output.splitlines() if line.startswith("edge-3"))
    for word in ("alive", "0.2.0", " 2 ", "d1d1d1d1d1d1, differs"):
        assert word in row
    assert "all write 1 until edge-1 is of a newer version" in output
    assert "agrees with the store" in output
    for skew, words in ((-2.4, "2 s behind the store"), (61.0, "61 s ahead of the store")):
        running.control.fleet.document["skew"] = skew
        assert words in running.run("fleet", "status").output
    assert "the audit log of edge-1 does not go on from where it was: it has 6 lines, and had 7" in output
    assert "leads" in next(line for line in output.splitlines() if line.startswith("edge-1"))


def test_the_leader_is_shown_and_the_lead_given_away(running: Running) -> None:
    fleet = running.control.fleet
    assert running.run("fleet", "leader").output == "edge-1 leads.\n"
    assert running.run("fleet", "leader", "edge-3").output == "edge-3 leads.\n"
    said = running.run("fleet", "leader", "--step-down", "--json")
    assert json.loads(said.output) == {"node": "edge-1", "leader": "edge-3"}
    assert fleet.told == [("listed",), ("leader", "edge-3"), ("leader", "")]
    for leader, words in (("edge-1", ["--step-down"]), (None, ["--step-down"]), ("edge-1", ["edge-3"])):
        fleet.leader = leader
        assert running.run("fleet", "leader", *words).exit_code == 1
    fleet.document["leader"] = None
    assert running.run("fleet", "leader").exit_code == 1
    both = running.run("fleet", "leader", "edge-3", "--step-down")
    assert both.exit_code == 1
    assert "name a node, or use --step-down" in both.output


def test_a_reload_of_the_fleet_says_what_became_of_each_node(running: Running) -> None:
    fleet = running.control.fleet
    said = running.run("reload", "--fleet")
    assert said.exit_code == 0
    assert said.output.split() == [
        "node",
        "edge-1",
        "reloaded",
        "edge-3",
        "reloaded",
        "All",
        "nodes",
        "serve",
        "by",
        "configuration",
        "c1c1c1c1c1c1.",
    ]
    fleet.faults["edge-3"] = "its file is another one"
    said = running.run("reload", "--fleet")
    assert said.exit_code == 1
    assert "Nodes without a fault serve by configuration c1c1c1c1c1c1." in said.output
    fleet.has_committed = False
    said = running.run("reload", "--fleet")
    for words in ("could reload", "its file is another one", "Refused: no node has changed."):
        assert words in said.output
    assert json.loads(running.run("reload", "--fleet", "--json").output)["committed"] is False
    assert "--dry-run is for one node" in running.run("reload", "--fleet", "--dry-run").output
    assert fleet.told == [("reload",)] * 4


def test_status_of_a_node_that_has_not_joined(running: Running) -> None:
    none: dict[str, Any] = {
        "epoch": None,
        "leader": None,
        "tickets_until": None,
        "skew": None,
        "members": [],
        "requests": [],
        "recoverable": [],
    }
    running.control.fleet.document |= {**none, "fault": "no answer within 1.5 s"}
    output = running.run("fleet", "status").output
    for words in ("has not joined", "no answer within 1.5 s", "none"):
        assert words in output


def test_status_of_a_node_that_was_expelled(running: Running) -> None:
    running.control.fleet.document["is_expelled"] = True
    output = running.run("fleet", "status").output
    assert "expelled, a member until epoch 1" in output
    assert "member, epoch" not in output


def test_a_token_is_written_and_given_by_standard_input(running: Running) -> None:
    assert running.run("fleet", "invite").output == "0123456789abcdef.secret\n"
    said = running.run("fleet", "join", given="0123456789abcdef.secret\n")
    assert said.output == (f"edge-2 asks to join. On a member: plexigate fleet approve edge-2 (key {'b2' * 16})\n")
    assert running.control.fleet.told == [("invite",), ("join", "0123456789abcdef.secret\n")]
    nothing = running.run("fleet", "join", given="\n")
    assert nothing.exit_code == 1
    assert "standard input has no token" in nothing.output


def test_a_file_that_is_no_token_is_given_in_part(running: Running) -> None:
    """The proxy says then that it is none."""
    said = CliRunner().invoke(app, ["fleet", "join", "--socket", str(running.path)], input=b"\xff\xfe" * 10_000)
    assert said.exit_code == 0
    ((_, token),) = running.control.fleet.told
    assert token == "\N{REPLACEMENT CHARACTER}" * 1_000


def test_a_node_is_approved_and_a_restored_store_is_used(running: Running) -> None:
    assert running.run("fleet", "approve", "edge-2").output == f"edge-2 is a member (key {'b2' * 16}).\n"
    assert json.loads(running.run("fleet", "approve", "edge-2", "--json").output)["since"] == NOW
    said = running.run("fleet", "expel", "edge-2").output
    assert said.startswith("edge-2 is no member any more: the fleet is in epoch 2. ")
    assert "now delete its user in etcd" in said
    assert said.endswith("\nOperator action required: the node knows something: replace it.\n")
    assert json.loads(running.run("fleet", "expel", "edge-2", "--json").output)["epoch"] == 2
    assert running.control.fleet.told[-1] == ("expel", "edge-2")
    del running.control.fleet.told[-2:]
    assert running.run("fleet", "accept-restore").output == "edge-1 uses the store again: see plexigate fleet status.\n"
    assert running.control.fleet.told == [("approve", "edge-2"), ("approve", "edge-2"), ("accept-restore",)]


@pytest.mark.parametrize("words", [("status",), ("invite",), ("approve", "edge-2"), ("accept-restore",)])
def test_a_refusal_is_said(running: Running, words: tuple[str, ...]) -> None:
    running.control.fleet.error = CommandRefused(404, "this configuration has no [fleet]")
    said = running.run("fleet", *words)
    assert said.exit_code == 1
    assert "this configuration has no [fleet]" in said.output


def test_a_fleet_is_opened_by_recovery_shares_and_status_says_by_whose(running: Running) -> None:
    said = running.run("fleet", "recover").output
    assert said == f"edge-4 is a member, by the recovery shares of edge-1 (key {'d4' * 16}).\n"
    assert json.loads(running.run("fleet", "recover", "--json").output)["by"] == "edge-1"
    assert running.control.fleet.told == [("recover",), ("recover",)]
    document = running.control.fleet.document
    for nodes, words in (
        (["edge-1"], "the shares of edge-1 open the fleet"),
        (["edge-1", "edge-3"], "the shares of edge-1 or edge-3 open the fleet"),
        ([], "no shares open the fleet: plexigate hsm init or rotate-sealing makes some"),
    ):
        document["recoverable"] = nodes
        assert words in running.run("fleet", "status").output
