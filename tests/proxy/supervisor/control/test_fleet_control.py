"""What operators may ask of the fleet, and what they are told."""

from pathlib import Path

import pytest

from certs.audit.entries import Action, Outcome
from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import FleetDocument, FleetNodeRow, InvitationDocument, JoinDocument
from proxy.observe.scrape import FleetFacts
from proxy.supervisor.control.fleet_control import SupervisorFleet
from proxy.supervisor.membership.kinds.orders import Ordered, Orders
from tests.parts import differences
from tests.proxy.supervisor.membership.nodes import NOW, PERIOD, Node, World, pair
from tests.waiting import until_seen


async def follow(_: Ordered) -> None:
    """There are no workers."""


class Asked:
    """What operators ask on one node, and what the audit log gets by that."""

    def __init__(self, node: Node) -> None:
        self.log: list[tuple[Action, str, Outcome, str]] = []
        self.control = SupervisorFleet(node.member, node.tickets, Orders(follow), lambda *told: self.log.append(told))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.member._RETRY_SECONDS", 0.001)
    return World(tmp_path)


async def test_a_node_joins_and_the_audit_log_has_who_got_the_key(world: World) -> None:
    three = world.node("three")
    async with pair(world) as (one, two), three.running():
        mine, theirs = Asked(one), Asked(three)
        await until_seen(lambda: three.member.revision)
        before = await theirs.control.listed()
        assert (before["epoch"], before["members"], before["tickets_until"]) == (None, [], None)
        assert list(differences(before, FleetDocument)) == []
        invitation = await mine.control.invite()
        assert list(differences(invitation, InvitationDocument)) == []
        joining = await theirs.control.join(invitation["token"])
        assert list(differences(joining, JoinDocument)) == []
        await until_seen(lambda: [*one.admissions.requests()])
        (request,) = (await mine.control.listed())["requests"]
        assert request == {"node": "three", "key": joining["key"], "since": None, "by": ""}
        row = await mine.control.approve("three")
        assert list(differences(row, FleetNodeRow)) == []
        await until_seen(lambda: three.tickets.plan is not None)
        document = await theirs.control.listed()
        assert list(differences(document, FleetDocument)) == []
        assert [one["node"] for one in document["members"]] == ["one", "two", "three"]
        assert (document["epoch"], document["leader"], document["is_leading"]) == (1, "one", False)
        assert (await mine.control.listed())["is_leading"]
        assert theirs.control.facts() == FleetFacts("three", until=document["tickets_until"])
        assert invitation["token"].partition(".")[2] not in str(mine.log)
    assert mine.log == [
        (Action.GENERATE, "fleet invitation", Outcome.DONE, "for 600 s"),
        (Action.EXPORT, "fleet key", Outcome.DONE, f"to the node three, key {joining['key']}"),
    ]
    assert two.member.fault is None


async def test_what_cannot_be_done_is_said(world: World) -> None:
    async with pair(world) as (one, two):
        asked = Asked(one)
        for work, text in (
            (asked.control.approve("ghost"), "ghost has not asked to join"),
            (asked.control.join("no token"), "no token of plexigate fleet invite"),
        ):
            with pytest.raises(CommandRefused, match=text) as refused:
                await work
            assert refused.value.status == 409
        world.store.fail("etcd is gone")
        await until_seen(lambda: one.member.fault)
        with pytest.raises(CommandRefused, match="the store of the fleet cannot be used: etcd is gone"):
            await asked.control.invite()
        facts = asked.control.facts()
        assert facts == FleetFacts("one", "etcd is gone", NOW - 100 + 3 * PERIOD)
        assert (await asked.control.accept_restore())["fault"] == "etcd is gone"
        assert two.member.state.revision > 1


async def test_a_node_that_cannot_read_its_state_says_so(world: World) -> None:
    node = world.node("one")
    asked = Asked(node)
    with pytest.raises(CommandRefused, match="it is starting"):
        await asked.control.listed()
    node.file.directory.write_bytes(b"in the way")
    async with node.running():
        await until_seen(lambda: node.member.fault)
        with pytest.raises(CommandRefused, match="this node cannot read its own state"):
            await asked.control.invite()
        assert asked.control.facts() is not None


async def test_an_order_of_a_node_that_runs_no_fleet_is_refused(world: World) -> None:
    with pytest.raises(CommandRefused, match="has not joined its fleet"):
        await Asked(world.node("one")).control.order("orders/drain/chat/http://x", None)
