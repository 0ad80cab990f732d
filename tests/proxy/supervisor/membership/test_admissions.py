"""An invitation lets one node in, within its time and with the approval of an operator."""

import json
from dataclasses import replace

import pytest

from certs.sealing.recipients import PrivateRecipient
from proxy.supervisor.membership.admissions import INVITED_SECONDS, MemberFacts, NotAdmitted
from proxy.supervisor.membership.joining import NotJoined
from proxy.supervisor.membership.places import FOUNDED, INVITATIONS, MEMBERS, REQUESTS, WELCOMES
from proxy.supervisor.membership.shared import Conflict
from proxy.supervisor.membership.shared_kind import NotAMember
from proxy.supervisor.membership.state import FILE_NAME, NodeState
from proxy.supervisor.membership.values import FleetKey, Schemas, ValueUnusable
from tests.proxy.supervisor.membership.nodes import KEM, NOW, Node, World, joined, pair
from tests.waiting import until_seen


async def asked(node: Node, by: Node, token: str) -> str:
    """Let a node ask, and return its name once the other one has heard."""
    await node.admissions.join(token)
    name = node.member.name
    await until_seen(lambda: name in [one.node for one in by.admissions.requests()])
    return name


async def test_who_joined_is_a_member_and_the_invitation_is_used_up(world: World) -> None:
    async with pair(world) as (one, two):
        ids = [node.member.state.private.public.id for node in (one, two)]
        assert [*two.admissions.members()] == [
            MemberFacts("one", ids[0], NOW),
            MemberFacts("two", ids[1], NOW, "one"),
        ]
        assert [*one.admissions.requests()] == []
        left = [name for name in world.store.entries if name.startswith((INVITATIONS, REQUESTS))]
        assert left == []
        assert set(world.store.lasting.values()) == {INVITED_SECONDS}
        with pytest.raises(NotAdmitted, match="two is a member already, in epoch 1"):
            await two.admissions.join(await one.admissions.invite())
        with pytest.raises(NotAdmitted, match="four has not asked to join; nodes that have: none"):
            await one.admissions.approve("four")


async def test_any_member_lets_a_third_node_in_and_one_invitation_lets_in_one(world: World) -> None:
    three, four = world.node("three"), world.node("four")
    async with pair(world) as (one, two), three.running(), four.running():
        token = await one.admissions.invite()
        await until_seen(lambda: three.member.revision and four.member.revision)
        for node in (three, four):
            await asked(node, two, token)
        await until_seen(lambda: any(name.startswith(INVITATIONS) for name in two.member.entries))
        assert (await two.admissions.approve("three")).by == "two"
        await until_seen(lambda: three.tickets.plan is not None)
        await three.serves(one)
        await until_seen(lambda: not any(name.startswith(INVITATIONS) for name in one.member.entries))
        with pytest.raises(NotAdmitted, match="the invitation of four is over or was used"):
            await one.admissions.approve("four")
        assert four.member.state.key is None


def upgraded(state: NodeState) -> NodeState:
    """As of a version with one schema more."""
    assert state.key is not None
    return replace(state, key=replace(state.key, schemas=Schemas(2, lambda _, same: same, lambda _, same: same)))


async def test_an_upgraded_node_lets_in_and_expels_and_one_of_the_version_before_follows(world: World) -> None:
    three = world.node("three")
    async with pair(world) as (one, two), three.running():
        one.member._state = upgraded(one.member.state)
        await until_seen(lambda: three.member.revision)
        await asked(three, one, await one.admissions.invite())
        await two.admissions.approve("three")  # it reads the invitation
        token = await two.admissions.invite()
        await until_seen(lambda: three.tickets.plan is not None)
        four = world.node("four")
        async with four.running():
            await until_seen(lambda: four.member.revision and four.member.revision == one.member.revision)
            await asked(four, one, token)
            await one.admissions.approve("four")
            await until_seen(lambda: four.tickets.plan is not None)
            assert await one.admissions.expel("three") == 2
            world.store.write({MEMBERS + "one": None})
            await until_seen(lambda: one.member.key.epoch == 2 and MEMBERS + "one" not in one.member.entries)
            await one.admissions.stay_member()
            for node in (two, four):
                await until_seen(lambda: node.member.key == one.member.key)  # noqa: B023 - awaited
                await until_seen(lambda: len(node.member.members) == 3)  # noqa: B023 - awaited
                await until_seen(lambda: node.member.fault is None)  # noqa: B023 - awaited
                assert all(row.key for row in node.admissions.members())
        written = [one.stored.value for one in world.store.history if one.stored is not None]
        assert {json.loads(value)["schema"] for value in written if b'"schema"' in value} == {1}


async def test_an_upgraded_founder_is_read_by_the_version_before(world: World) -> None:
    one = world.node("one")
    one.member._state = upgraded(NodeState(PrivateRecipient.generate(KEM), FleetKey.fresh(1)))
    async with one.running():
        await one.founds()
        assert one.member.key.schemas.newest == 2
        for name in (FOUNDED, MEMBERS + "one"):
            assert json.loads(world.store.entries[name].value)["schema"] == 1


async def test_a_node_that_lost_its_disk_joins_again_and_is_warned_of_nothing(world: World) -> None:
    one, two = world.node("one"), world.node("two")
    async with one.running():
        await one.founds()
        async with two.running():
            await joined(two, one)
        (two.file.directory / FILE_NAME).unlink()
        again = world.node("two")
        async with again.running():
            await until_seen(lambda: again.member.revision)
            await asked(again, one, await one.admissions.invite())
            await until_seen(lambda: REQUESTS + "two" in again.member.entries)
            assert again.member.fault is None
            await one.admissions.approve("two")
            await again.serves(one)
        assert "fleet_away" not in again.told


async def test_an_invitation_ends_by_the_clock_too(world: World) -> None:
    async with pair(world) as (one, two):
        three = world.node("three")
        async with three.running():
            token = await one.admissions.invite()
            await until_seen(lambda: three.member.revision)
            await asked(three, one, token)
            world.now += INVITED_SECONDS + 1
            with pytest.raises(NotAdmitted, match="the invitation of three is over"):
                await one.admissions.approve("three")
        assert two.member.fault is None


async def test_of_two_who_approve_at_once_one_is_told(world: World) -> None:
    three = world.node("three")
    async with pair(world) as (one, two), three.running():
        await until_seen(lambda: three.member.revision)
        await asked(three, one, await one.admissions.invite())
        await until_seen(lambda: one.member.entries == two.member.entries)
        before = two.member.entries
        await one.admissions.approve("three")
        two.member.entries = before  # as if it had not heard yet
        with pytest.raises(Conflict):
            await two.admissions.approve("three")


async def test_what_others_write_lets_nobody_in(world: World) -> None:
    three = world.node("three")
    async with pair(world) as (one, _), three.running():
        await until_seen(lambda: three.member.revision)
        world.store.write({REQUESTS + "three": b"{}", MEMBERS + "ghost": b"{}"})
        await until_seen(lambda: [*one.admissions.requests()] == [MemberFacts("three", "")])
        assert MemberFacts("ghost", "") in [*one.admissions.members()]
        with pytest.raises(NotJoined):
            await one.admissions.approve("three")
        token = await one.admissions.invite()
        await asked(three, one, token)
        place = INVITATIONS + token.partition(".")[0]
        world.store.write({place: b"{}"})
        await until_seen(lambda: place in one.member.entries and one.member.entries[place].value == b"{}")
        with pytest.raises(ValueUnusable):
            await one.admissions.approve("three")
        world.store.write({WELCOMES + "three": b"{}"})
        await until_seen(lambda: three.member.fault)
        assert three.member.state.key is None
        with pytest.raises(NotAMember):
            await three.admissions.invite()
        with pytest.raises(NotJoined):
            await three.admissions.join("no token")
