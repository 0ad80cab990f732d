"""What operators may ask of the fleet, and what they are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from certs.audit.entries import Action, Outcome
from config.fleet_digest import fleet_digest
from proxy.admin.requests.contracts import ReloadReport
from proxy.admin.requests.problems import CommandRefused
from proxy.api.fleet import (
    ExpelDocument,
    FleetDocument,
    FleetLeadDocument,
    FleetNodeRow,
    FleetReloadDocument,
    InvitationDocument,
    JoinDocument,
)
from proxy.observe.scrape import FleetFacts, FleetFault
from proxy.supervisor.control.fleet_control import SupervisorFleet
from proxy.supervisor.membership.epochs import recoverable
from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.kinds.fleet_reload import FleetReload
from proxy.supervisor.membership.kinds.lead import Lead
from proxy.supervisor.membership.kinds.node_facts import NodeFacts
from proxy.supervisor.membership.kinds.nodes import Nodes
from proxy.supervisor.membership.kinds.orders import Ordered, Orders
from proxy.supervisor.membership.kinds.rows import AuthorityRow
from proxy.supervisor.membership.places import AUTHORITIES, SESSION_IDENTITY
from proxy.supervisor.membership.shared_parts import SharedParts
from tests.parts import differences
from tests.proxy.supervisor.membership.nodes import NOW, PERIOD, World, joined
from tests.proxy.supervisor.membership.shares import recovered, with_shares
from tests.waiting import until_seen

FILE = "reload_timeout = 30\n"
DIGEST = fleet_digest(FILE.encode())


async def follow(_: Ordered) -> None:
    """There are no workers."""


class Asked:
    """What operators ask on one node, and what the audit log gets by that."""

    def __init__(self, world: World, name: str, *, auto_approve: bool = False) -> None:
        self.log: list[tuple[Action, str, Outcome, str]] = []
        self.planned: dict[str, float] = {}
        self.facts = NodeFacts("0.1.0", 1, DIGEST)
        self.path = world.directory / f"{name}.toml"
        self.path.write_text(FILE)
        nodes = Nodes(lambda _: self.facts, lambda _: None, lambda: world.now)
        lead = Lead()
        reload = FleetReload(self.path, self._reload, nodes, 10.0)
        authorities = Entries(AUTHORITIES, AuthorityRow.read, is_kept=True)
        payload = Entries("payload/", str, is_kept=True)
        self.node = world.node(name, kinds=[nodes, lead, reload, authorities, payload])
        self.parts = SharedParts(self.node.tickets, nodes, lead, reload)
        self.control = SupervisorFleet(
            self.node.member,
            self.parts,
            Orders(follow),
            lambda: self.planned,
            lambda *told: self.log.append(told),
            auto_approve=auto_approve,
        )

    async def _reload(self, *, dry_run: bool) -> ReloadReport:
        del dry_run
        return ReloadReport(ok=True, changes=[], problems=[], generation=2)

    async def knows(self, *alive: str) -> None:
        """Wait until it knows that these nodes are there."""
        self.parts.nodes.look()
        await until_seen(lambda: self.parts.nodes.alive == set(alive) == set(self.parts.nodes.facts))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.member._RETRY_SECONDS", 0.001)
    return World(tmp_path)


@asynccontextmanager
async def pair(world: World) -> AsyncIterator[tuple[Asked, Asked]]:
    """The leader, and a member."""
    one, two = Asked(world, "one"), Asked(world, "two")
    async with one.node.running():
        await one.node.founds()
        async with two.node.running():
            await joined(two.node, one.node)
            await two.node.serves(one.node)
            two.parts.nodes.look()
            await one.knows("one", "two")
            await two.knows("one", "two")
            yield one, two


async def test_a_node_joins_and_the_audit_log_has_who_got_the_key(world: World) -> None:
    theirs = Asked(world, "three")
    async with pair(world) as (mine, two), theirs.node.running():
        await until_seen(lambda: theirs.node.member.revision)
        before = await theirs.control.listed()
        assert (before["epoch"], before["members"], before["tickets_until"]) == (None, [], None)
        assert list(differences(before, FleetDocument)) == []
        assert (theirs.control.facts().epoch, theirs.control.facts().planned) == (None, {})
        invitation = await mine.control.invite()
        assert list(differences(invitation, InvitationDocument)) == []
        joining = await theirs.control.join(invitation["token"])
        assert list(differences(joining, JoinDocument)) == []
        await until_seen(lambda: [*mine.node.admissions.requests()])
        (request,) = (await mine.control.listed())["requests"]
        assert request == {"node": "three", "key": joining["key"], "since": None, "by": ""}
        row = await mine.control.approve("three")
        assert list(differences(row, FleetNodeRow)) == []
        await until_seen(lambda: theirs.node.tickets.plan is not None)
        await theirs.knows("one", "two", "three")
        document = await theirs.control.listed()
        assert list(differences(document, FleetDocument)) == []
        assert [one["node"] for one in document["members"]] == ["one", "three", "two"]
        assert (document["epoch"], document["leader"], document["is_leading"]) == (1, "one", False)
        assert (await mine.control.listed())["is_leading"]
        assert theirs.control.facts() == FleetFacts(
            "three",
            planned={"session ticket keys": document["tickets_until"] or 0},
            leader="one",
            members=3,
            alive=3,
            revision=document["revision"],
            epoch=1,
            skew=0.0,
        )
        assert invitation["token"].partition(".")[2] not in str(mine.log)
        assert two.node.member.fault is None
    assert mine.log == [
        (Action.GENERATE, "fleet invitation", Outcome.DONE, "for 600 s"),
        (Action.EXPORT, "fleet key", Outcome.DONE, f"to the node three, key {joining['key']}"),
    ]


async def test_what_cannot_be_done_is_said(world: World) -> None:
    async with pair(world) as (one, two):
        for work, text in (
            (one.control.approve("ghost"), "ghost has not asked to join"),
            (one.control.join("no token"), "no token of plexigate fleet invite"),
            (one.control.give_lead("ghost"), "no member ghost is alive"),
            (two.control.give_lead(None), "two does not lead, one does"),
        ):
            with pytest.raises(CommandRefused, match=text) as refused:
                await work
            assert refused.value.status == 409
        world.store.fail("etcd is gone")
        await until_seen(lambda: one.node.member.fault)
        with pytest.raises(CommandRefused, match="the store of the fleet cannot be used: etcd is gone"):
            await one.control.invite()
        facts = one.control.facts()
        assert (facts.fault, facts.kind) == ("etcd is gone", FleetFault.STORE)
        assert facts.planned == {"session ticket keys": NOW - 100 + 3 * PERIOD}
        one.planned = {"payload ring chat": NOW}
        assert one.control.facts().planned == {**facts.planned, "payload ring chat": NOW}
        assert (await one.control.accept_restore())["fault"] == "etcd is gone"
        assert two.node.member.state.revision > 1


async def test_the_kind_of_a_fault_is_told(world: World) -> None:
    async with pair(world) as (one, two):
        world.store.fail("etcd is gone")
        await until_seen(lambda: one.node.member.fault and two.node.member.fault)
        revision = world.store.revision
        world.store.revision = 2
        world.store.fail(None)
        await until_seen(lambda: one.control.facts().kind is FleetFault.RESTORED)
        world.store.revision = revision
        store_now = world.now + 61
        world.store.now = lambda: store_now
        await until_seen(lambda: one.control.facts().kind is FleetFault.CLOCK)
        assert one.control.facts().skew == -61.0


async def test_a_node_with_another_configuration_and_one_with_another_audit_log_are_named(world: World) -> None:
    async with pair(world) as (one, two):
        two.facts = NodeFacts("0.2.0", 2, "d" * 64)
        two.parts.nodes.look()
        await until_seen(lambda: one.control.facts().others)
        assert one.control.facts().others == {"two": "d" * 64}
        one.parts.nodes.broken["two"] = (NOW, "it has 6 lines, and had 7")
        rows = {row["node"]: row for row in (await one.control.listed())["members"]}
        assert (rows["one"]["differs"], rows["two"]["differs"]) == (False, True)
        assert (rows["two"]["version"], rows["two"]["schema"]) == ("0.2.0", 2)
        assert rows["two"]["log_fault"] == "it has 6 lines, and had 7"
        assert one.control.facts().broken_logs == {"two": (NOW, "it has 6 lines, and had 7")}
        # seen from the one that differs, it is the same one
        await until_seen(lambda: two.control.facts().others)
        assert two.control.facts().others == {"two": "d" * 64}


async def test_the_lead_is_given_away(world: World) -> None:
    async with pair(world) as (one, two):
        given = await one.control.give_lead("two")
        assert given == {"node": "one", "leader": "two"}
        assert list(differences(given, FleetLeadDocument)) == []
        await until_seen(lambda: two.node.member.is_leading)
        written = world.store.revision
        assert await two.control.give_lead("two") == {"node": "two", "leader": "two"}, "it leads already"
        assert world.store.revision == written
        assert await two.control.give_lead(None) == {"node": "two", "leader": "one"}


async def test_a_node_that_has_not_joined_gives_no_lead_and_reloads_no_other(world: World) -> None:
    one = Asked(world, "one")
    async with one.node.running():
        await one.node.founds()
        other = Asked(world, "two")
        async with other.node.running():
            await until_seen(lambda: other.node.member.revision)
            for work in (other.control.give_lead("one"), other.control.give_lead(None), other.control.reload()):
                with pytest.raises(CommandRefused, match="has not joined its fleet") as refused:
                    await work
                assert refused.value.status == 409


async def test_the_last_node_cannot_step_down(world: World) -> None:
    one = Asked(world, "one")
    async with one.node.running():
        await one.node.founds()
        await one.knows("one")
        with pytest.raises(CommandRefused, match="no other node is alive"):
            await one.control.give_lead(None)


async def test_all_nodes_reload_or_none(world: World) -> None:
    async with pair(world) as (one, two):
        made = await two.control.reload()
        assert list(differences(made, FleetReloadDocument)) == []
        assert made == {
            "ok": True,
            "committed": True,
            "configuration": DIGEST,
            "nodes": [{"node": "one", "fault": None}, {"node": "two", "fault": None}],
        }
        one.path.write_text("reload_timeout = 31\n")
        made = await two.control.reload()
        assert (made["ok"], made["committed"]) == (False, False)
        two.path.unlink()
        with pytest.raises(CommandRefused, match="No such file"):
            await two.control.reload()
        two.path.write_text("= 1")
        with pytest.raises(CommandRefused, match="is no TOML"):
            await two.control.reload()


async def test_a_node_that_cannot_read_its_state_says_so(world: World) -> None:
    asked = Asked(world, "one")
    with pytest.raises(CommandRefused, match="it is starting"):
        await asked.control.listed()
    asked.node.file.directory.write_bytes(b"in the way")
    async with asked.node.running():
        await until_seen(lambda: asked.node.member.fault)
        with pytest.raises(CommandRefused, match="this node cannot read its own state"):
            await asked.control.invite()
        assert asked.control.facts().kind is FleetFault.STORE


async def test_an_order_of_a_node_that_runs_no_fleet_is_refused(world: World) -> None:
    with pytest.raises(CommandRefused, match="has not joined its fleet"):
        await Asked(world, "one").control.order("orders/drain/chat/http://x", None)


def authority(*keys: str | None) -> object:
    """An internal CA whose root has these keys."""
    return AuthorityRow({"root": {"versions": [{"key": key} for key in keys]}}, 1).as_json()


async def test_what_clients_trust_and_an_expelled_node_knows_is_for_an_operator(world: World) -> None:
    async with pair(world) as (mine, _):
        contents = {
            "authorities/away": authority(None),
            "authorities/files": authority("-----BEGIN PRIVATE KEY-----"),
            "authorities/gone": None,
            "authorities/token": authority("pkcs11:token=plexi"),
            SESSION_IDENTITY: "keys",
            "payload/rings/chat": "keys",
        }
        await mine.node.member.write(contents)
        await until_seen(lambda: len(mine.node.member.state.values) >= len(contents))
        identity, away, files = sorted((await mine.control.expel("two"))["required"])
    assert away.startswith("the node knows the root key of the internal CA away, unless it was moved away before the")
    assert files.startswith("the node knows the root key of the internal CA files: add another [issuer.NAME]")
    assert "plexigate payload identity --replace --output FILE" in identity


async def test_who_was_expelled_is_not_waited_for(world: World) -> None:
    """Its sign that it is alive stays in the store until the lease of that ends."""
    async with pair(world) as (mine, _):
        await mine.control.expel("two")
        await until_seen(lambda: mine.node.member.key.epoch == 2 and mine.node.member.members == ["one"])
        assert "nodes/two/alive" in world.store.entries
        assert mine.control.facts().alive == 1
        for to, text in (("two", "no member two is alive"), (None, "no other node is alive")):
            with pytest.raises(CommandRefused, match=text):
                await mine.control.give_lead(to)
        assert (await mine.control.reload())["nodes"] == [{"node": "one", "fault": None}]


async def test_a_node_is_expelled_and_the_audit_log_has_what_it_knew(world: World) -> None:
    async with pair(world) as (mine, theirs):
        mine.log.clear()
        await mine.node.member.write({"certificates/local/ec": "key", "rotations/local/rsa": "key"})
        await until_seen(lambda: "rotations/local/rsa" in mine.node.member.entries)
        document = await mine.control.expel("two")
        assert list(differences(document, ExpelDocument)) == []
        assert document == {"node": "two", "epoch": 2, "required": []}
        await until_seen(lambda: theirs.node.member.fault)
        told = await theirs.control.listed()
        assert "was expelled from its fleet by one" in str(told["fault"])
        assert (told["is_expelled"], (await mine.control.listed())["is_expelled"]) == (True, False)
        with pytest.raises(CommandRefused, match="two is no member"):
            await mine.control.expel("two")
    assert mine.log == [
        (
            Action.ROTATE,
            "fleet key",
            Outcome.DONE,
            "epoch 2, without the node two, which knew the secrets of epoch 1: certificates, rotations, tickets",
        )
    ]


async def test_who_has_an_invitation_joins_at_once_where_that_is_wanted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.control.fleet_control._APPROVE_SECONDS", 0.001)
    one, two, three = Asked(world, "one", auto_approve=True), Asked(world, "two"), Asked(world, "three")
    task = asyncio.get_running_loop().create_task(one.control.run())
    await until_seen(lambda: one.node.member.is_leading and one.node.member.state.key is not None)
    async with two.node.running(), three.node.running():
        await until_seen(lambda: two.node.member.revision and three.node.member.revision)
        token = (await one.control.invite())["token"]
        await three.control.join(token)
        await until_seen(lambda: three.node.member.has_begun and three.node.member.state.key is not None)
        await two.control.join(token)  # it was used
        await until_seen(lambda: list(one.node.admissions.requests()))
        await until_seen(lambda: two.node.member.revision == one.node.member.revision)
        assert two.node.member.state.key is None
        exported = [text.partition(",")[0] for action, _, _, text in one.log if action is Action.EXPORT]
        assert exported == ["to the node three"]
    task.cancel()
    await asyncio.wait([task])


async def test_the_audit_log_has_that_a_restored_store_is_used(world: World) -> None:
    one = Asked(world, "one")
    async with one.node.running():
        await one.node.founds()
        await one.control.accept_restore()
        wanted = (Action.RECOVER, "fleet store", Outcome.DONE, "of an earlier time is used, in epoch 1")
        assert one.log == [wanted]
        one.node.file.directory.rename(world.directory / "aside")
        one.node.file.directory.write_bytes(b"in the way")
        with pytest.raises(CommandRefused, match="File exists"):
            await one.control.accept_restore()
        assert one.log == [wanted], "what was not done is not there"


async def test_a_fleet_whose_nodes_are_lost_is_opened_by_the_shares_of_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.control.fleet_control._RECOVERY_SECONDS", 0.001)
    shares = with_shares(world, "one")
    one = Asked(world, "one")
    task = asyncio.get_running_loop().create_task(one.control.run())
    await until_seen(lambda: one.node.member.has_begun and recoverable(one.node.member.entries))
    await one.node.founds()
    document = await one.control.listed()
    assert document["recoverable"] == ["one"]
    written = world.store.entries["recovery/1/one"]
    world.store.write({"recovery/1/one": b"spoilt"})
    await until_seen(lambda: world.store.entries["recovery/1/one"].value not in (b"spoilt", written.value))
    world.store.fail("away")
    await until_seen(lambda: one.node.member.fault)
    world.store.fail(None)
    await until_seen(lambda: one.node.member.fault is None)
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(CommandRefused, match="one is a member already, in epoch 1"):
        await one.control.recover()
    recovered(world, shares[:2], "two")
    two = Asked(world, "two")
    async with two.node.running():
        await until_seen(lambda: two.node.member.revision)
        assert (await two.control.listed())["recoverable"] == ["one"]
        row = await two.control.recover()
        assert list(differences(row, FleetNodeRow)) == []
        assert (row["node"], row["by"]) == ("two", "one")
        await until_seen(lambda: two.node.tickets.plan == one.node.tickets.plan)
    assert two.log == [(Action.RECOVER, "fleet key", Outcome.DONE, "by the sealing key of the node one")]
    with_shares(world, "three")
    three = Asked(world, "three")
    async with three.node.running():
        await until_seen(lambda: three.node.member.revision)
        with pytest.raises(CommandRefused, match="recovery/1/one is sealed with the key"):
            await three.control.recover()
        assert three.log == []
