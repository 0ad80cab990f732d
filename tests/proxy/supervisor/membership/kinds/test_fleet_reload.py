"""All nodes of a fleet take a configuration, or none does; each says why not."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from config.fleet_digest import fleet_digest
from config.values.problems import Problem
from proxy.admin.requests.contracts import ReloadReport
from proxy.supervisor.membership.kinds.fleet_reload import RELOAD, FleetReload, OfferedAlready
from proxy.supervisor.membership.kinds.node_facts import NodeFacts, ReloadOffer, ReloadPhase
from proxy.supervisor.membership.kinds.nodes import Nodes
from proxy.supervisor.membership.shared import SharedAway
from tests.proxy.supervisor.membership.nodes import Node, World, joined
from tests.waiting import until_seen

OLD, NEW = "reload_timeout = 30\n", "reload_timeout = 31\n"


@dataclass
class Reloading:
    """A node with a file, and what it did with that."""

    world: World
    name: str
    done: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    serves: str = OLD
    seconds: float = 10.0

    def __post_init__(self) -> None:
        self.path = self.world.directory / f"{self.name}.toml"
        self.write(NEW)
        self.nodes = Nodes(self._own, lambda _: None, lambda: self.world.now)
        self.kind = FleetReload(self.path, self._reload, self.nodes, self.seconds)
        self.node: Node = self.world.node(self.name, kinds=[self.nodes, self.kind])

    def write(self, text: str) -> None:
        """The file, with what is of the machine."""
        self.path.write_text(f"workers = {len(self.name)}\n{text}")

    def _own(self, told: object) -> NodeFacts:
        del told
        return NodeFacts("0.1.0", 1, fleet_digest(self.serves.encode()))

    async def _reload(self, *, dry_run: bool) -> ReloadReport:
        self.done.append("try" if dry_run else "reload")
        ok = not any(one.is_error for one in self.problems)
        if ok and not dry_run:
            self.serves = self.path.read_text()
        return ReloadReport(ok, [], [one.as_json() for one in self.problems], 2)


async def three(world: World, stack: AsyncExitStack) -> tuple[Reloading, Reloading, Reloading]:
    """Three members, which know of each other."""
    one, two, other = Reloading(world, "one"), Reloading(world, "two"), Reloading(world, "three")
    await stack.enter_async_context(one.node.running())
    await one.node.founds()
    for node in (two, other):
        await stack.enter_async_context(node.node.running())
        await joined(node.node, one.node)
    for node in (one, two, other):
        node.nodes.look()
    await until_seen(lambda: all(len(node.nodes.alive) == 3 for node in (one, two, other)))
    return one, two, other


async def test_all_reload_where_all_can(world: World) -> None:
    async with AsyncExitStack() as stack:
        nodes = await three(world, stack)
        made = await nodes[0].kind.offer(nodes[0].node.member)
        assert made.has_committed
        assert made.faults == {"one": None, "two": None, "three": None}
        assert made.digest == fleet_digest(NEW.encode())
        assert all(one.done == ["try", "reload"] for one in nodes)
        await until_seen(lambda: {one.configuration for one in nodes[1].nodes.facts.values()} == {made.digest})
        assert "reload" not in world.store.entries
        # and once more, from another node
        made = await nodes[1].kind.offer(nodes[1].node.member)
        assert made.has_committed


@pytest.mark.parametrize("fault", ["other file", "no file", "no TOML", "one problem", "two problems"])
async def test_none_reloads_where_one_cannot(world: World, fault: str) -> None:
    async with AsyncExitStack() as stack:
        one, two, other = await three(world, stack)
        problem = Problem("a.toml", "route", "nothing", "something")
        match fault:
            case "other file":
                other.write("reload_timeout = 32\n")
                why = "its file is another one"
            case "no file":
                other.path.unlink()
                why = "its file cannot be read"
            case "no TOML":
                other.path.write_text("= 1")
                why = "its file cannot be read"
            case "one problem":
                other.problems = [problem]
                why = str(problem)
            case _:
                other.problems = [problem, problem]
                why = f"2 problems, the first is: {problem}"
        made = await one.kind.offer(one.node.member)
        assert not made.has_committed
        assert (made.faults["one"], made.faults["two"]) == (None, None)
        assert (made.faults["three"] or "").startswith(why)
        assert "reload" not in one.done + two.done + other.done
        assert "reload" not in world.store.entries


async def test_a_node_that_does_not_answer_stops_it(world: World) -> None:
    async with AsyncExitStack() as stack:
        one, two, other = await three(world, stack)

        async def silent(*, dry_run: bool) -> ReloadReport:
            del dry_run
            await asyncio.Event().wait()
            raise AssertionError

        two.kind._reload = silent
        one.kind._seconds = 0.5
        made = await one.kind.offer(one.node.member)
        assert made.faults["two"] == "no answer within 0.5 s"
        assert not made.has_committed
        assert "reload" not in one.done + other.done


async def test_a_node_that_is_away_is_not_waited_for(world: World) -> None:
    one, two = Reloading(world, "one"), Reloading(world, "two")
    async with one.node.running():
        await one.node.founds()
        async with two.node.running():
            await joined(two.node, one.node)
            two.nodes.look()
            await until_seen(lambda: "two" in one.nodes.alive)
        await until_seen(lambda: "two" not in one.nodes.alive)
        assert (await one.kind.offer(one.node.member)).faults == {"one": None}
    assert (one.done, two.done) == (["try", "reload"], [])


async def test_a_node_that_fails_to_commit_is_named(world: World) -> None:
    async with AsyncExitStack() as stack:
        one, two, _ = await three(world, stack)
        before = two.kind._reload

        async def failing(*, dry_run: bool) -> ReloadReport:
            if not dry_run:
                two.problems = [Problem("a.toml", "", "a worker that is gone", "a worker")]
            return await before(dry_run=dry_run)

        two.kind._reload = failing
        made = await one.kind.offer(one.node.member)
        assert made.has_committed
        assert "a worker that is gone" in (made.faults["two"] or "")
        assert (made.faults["one"], made.faults["three"]) == (None, None)
        await until_seen(lambda: one.nodes.facts["one"].configuration == made.digest)
        assert one.nodes.facts["two"].configuration == fleet_digest(OLD.encode())
        two.kind._reload = before
        two.problems = []
        again = await one.kind.offer(one.node.member)
        assert again.has_committed
        assert not any(again.faults.values()), "an operator has mended it"
        await until_seen(lambda: one.nodes.facts["two"].configuration == made.digest)


async def test_what_all_have_committed_is_told_also_if_the_store_fails_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.fleet_reload._HEARD_SECONDS", 0.001)
    async with AsyncExitStack() as stack:
        one, _, _ = await three(world, stack)
        write = one.node.member.write

        async def failing(contents: Mapping[str, object | None], **rest: Any) -> None:
            if contents == {RELOAD: None}:
                raise SharedAway("gone")
            await write(contents, **rest)

        monkeypatch.setattr(one.node.member, "write", failing)
        made = await one.kind.offer(one.node.member)
        assert made.has_committed
        assert not any(made.faults.values())


async def test_there_is_one_offer_at_a_time_and_who_has_not_checked_does_not_commit(world: World) -> None:
    async with AsyncExitStack() as stack:
        one, two, _ = await three(world, stack)
        digest = fleet_digest(NEW.encode())
        offer = ReloadOffer("d" * 16, "two", digest, ReloadPhase.COMMIT)
        await two.node.member.write({"reload": offer.as_json()}, lasts_seconds=1)
        await until_seen(lambda: one.kind.only == offer)
        with pytest.raises(OfferedAlready, match="two reloads the fleet now"):
            await one.kind.offer(one.node.member)
        await two.node.member.write({"reload": None})
        await until_seen(lambda: one.kind.only is None)
        assert (await one.kind.offer(one.node.member)).has_committed
        assert one.done == two.done == ["try", "reload"]
