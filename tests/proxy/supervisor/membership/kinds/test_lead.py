"""The lead of a fleet goes where an operator wants it."""

import asyncio

import pytest

from proxy.supervisor.membership.kinds.lead import ABSTAIN_SECONDS, Lead, LeadWish
from proxy.supervisor.membership.shared import LEADER
from tests.proxy.supervisor.membership.nodes import Node, World, joined
from tests.waiting import until_seen


def leader(world: World) -> bytes:
    stored = world.store.entries.get(LEADER)
    return b"" if stored is None else stored.value


async def test_the_lead_goes_to_the_node_that_is_named_and_away_from_one_that_steps_down(world: World) -> None:
    leads = [Lead() for _ in range(3)]
    one, two, three = (
        world.node(name, kinds=[lead]) for name, lead in zip(("one", "two", "three"), leads, strict=True)
    )
    async with one.running():
        await one.founds()
        async with two.running(), three.running():
            await joined(two, one)
            await joined(three, one)
            assert leader(world) == b"one"
            await leads[1].give(two.member, "three")
            await until_seen(lambda: three.member.is_leading)
            assert leader(world) == b"three"
            # who abstained is needed at once when the new leader fails
            token = world.store.token
            world.store.expire()
            async with asyncio.timeout(ABSTAIN_SECONDS / 2):
                await until_seen(lambda: world.store.token not in {0, token})
            await leads[1].give(two.member, "three")
            await until_seen(lambda: three.member.is_leading and leader(world) == b"three")
            await leads[2].give(three.member, None)
            await until_seen(lambda: leader(world) in {b"one", b"two"})
            await until_seen(lambda: not three.member.is_leading)


@pytest.mark.parametrize(("to", "spared"), [(None, {"b", "c"}), ("b", {"b"}), ("a", {"a"})])
def test_who_may_lead(to: str | None, spared: set[str]) -> None:
    wish = LeadWish("a", to)
    assert {node for node in "abc" if wish.spares(node)} == spared


async def test_a_node_that_abstained_leads_again_if_no_other_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.lead.ABSTAIN_SECONDS", 0.05)
    monkeypatch.setattr("proxy.supervisor.membership.member.LEASE_SECONDS", 0.05)
    lead = Lead()
    one: Node = world.node("one", kinds=[lead])
    async with one.running():
        await one.founds()
        token = world.store.token
        await lead.give(one.member, "nobody")
        await until_seen(lambda: world.store.token not in {0, token})
        assert one.member.is_leading
