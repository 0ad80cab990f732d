"""Writing into the store of the fleet: what fails is said, in the loop and in threads."""

import asyncio
from functools import partial

import pytest

from certs.issuing.issuer import NotShared
from proxy.net.in_thread import in_thread
from proxy.supervisor.membership.kinds.access import FleetAccess
from proxy.supervisor.membership.kinds.entries import Entries
from tests.proxy.supervisor.membership.nodes import Node, Notes, World
from tests.waiting import until_seen


def accessed(world: World, entries: Entries[str]) -> tuple[Node, FleetAccess]:
    node = world.node("one", kinds=[entries])
    return node, FleetAccess(asyncio.get_running_loop(), lambda: node.member)


async def test_one_value_after_the_other_is_kept_once_this_node_has_heard_of_it(world: World) -> None:
    entries = Entries("lines/", str)
    node, access = accessed(world, entries)
    assert (access.epoch, access.may_issue) == (0, False)
    async with node.running():
        await node.founds()
        assert (access.epoch, access.may_issue) == (1, True)
        for number in range(5):
            work = access.keep(entries, "a", str(number), str(number))
            await in_thread(access.loop, partial(access.wait_for, work))
            assert entries.values == {"a": str(number)}


async def test_each_failure_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.access._TAKEN_SECONDS", 0.01)
    monkeypatch.setattr("proxy.supervisor.membership.kinds.access._CALL_SECONDS", 0.01)
    entries = Entries("lines/", str)
    node, access = accessed(world, entries)
    with pytest.raises(NotShared, match="has not joined its fleet"):
        await access.write({"lines/a": "x"})
    async with node.running():
        await node.founds()
        with pytest.raises(NotShared, match="another node has written meanwhile"):
            await access.taken(entries, "a", "x")
        with pytest.raises(NotShared, match="has not answered within"):
            await in_thread(access.loop, lambda: access.wait_for(asyncio.sleep(1)))
        world.store.token = 0
        with pytest.raises(NotShared, match="does not lead the fleet any more"):
            await access.write({"lines/a": "x"}, as_leader=True)
        world.store.fail("etcd is gone")
        with pytest.raises(NotShared, match="the store of the fleet cannot be used: etcd is gone"):
            await access.write({"lines/a": "x"})


def test_a_loop_that_has_ended_is_said() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    access = FleetAccess(loop, lambda: pytest.fail("it is not asked"))
    with pytest.raises(NotShared, match="the proxy is ending"):
        access.wait_for(asyncio.sleep(0))


async def test_a_foreign_value_stops_issuing_only_if_that_depends_on_its_kind(world: World) -> None:
    entries, rings = Entries("certificates/", str), Notes("payload/")
    node = world.node("one", kinds=[entries, rings])
    access = FleetAccess(asyncio.get_running_loop(), lambda: node.member)
    access.needed = (entries.prefix, "rotations/")

    async def with_foreign(name: str) -> str | None:
        world.store.write({name: b"{}"})
        await until_seen(lambda: node.member.revision == world.store.revision)
        await access.write({"payload/x": "line"})  # a node takes first what it has heard of
        return node.member.fault

    async with node.running():
        await node.founds()
        await access.keep(entries, "a", "edition", "edition")
        old = world.store.entries["certificates/a"].value
        await access.keep(entries, "a", "next", "next")
        foreign = "payload/other in the store of the fleet is no value of a fleet"
        assert await with_foreign("payload/other") == foreign
        assert (node.member.is_leading, access.answers, access.may_issue) == (True, True, True)
        await access.keep(entries, "a", "another", "another")
        assert "fleet_away" in node.told, "it is told all the same"
        assert await with_foreign("certificates/b") is not None
        assert (node.member.is_leading, access.answers, access.may_issue) == (True, False, False)
        world.store.write({"certificates/b": None})
        await until_seen(lambda: access.may_issue)
        assert node.member.fault == foreign
        world.store.write({"certificates/a": old})
        await until_seen(lambda: not access.may_issue)
        await access.write({"certificates/a": "of now"})
        await until_seen(lambda: access.may_issue)
        world.store.write({"epochs/2": b"{}"})
        await until_seen(lambda: not access.may_issue)
        assert not node.member.is_leading
        assert node.member.fault == "epochs/2 in the store of the fleet is no value of a fleet"
        world.store.write({"epochs/2": None})
        await until_seen(lambda: access.may_issue)
        world.store.fail("etcd is gone")
        await until_seen(lambda: not access.may_issue)
        with pytest.raises(NotShared, match="etcd is gone"):
            await access.write({"payload/x": "line"})
        assert (node.member.is_leading, access.answers, node.member.fault) == (False, False, "etcd is gone")
        world.store.fail(None)
        await until_seen(lambda: access.may_issue)
        world.store.write({"payload/other": None})
        await until_seen(lambda: node.member.fault is None)
