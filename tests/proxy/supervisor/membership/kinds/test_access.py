"""Writing into the store of the fleet: what fails is said, in the loop and in threads."""

import asyncio
from functools import partial

import pytest

from certs.issuing.issuer import NotShared
from proxy.net.in_thread import in_thread
from proxy.supervisor.membership.kinds.access import FleetAccess
from proxy.supervisor.membership.kinds.entries import Entries
from tests.proxy.supervisor.membership.nodes import Node, World


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
