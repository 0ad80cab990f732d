"""What nodes say of themselves reaches all others, and who is gone is missed."""

from dataclasses import replace

import pytest

from proxy.supervisor.membership.kinds.node_facts import LogEnd, NodeFacts
from proxy.supervisor.membership.kinds.nodes import Nodes
from tests.proxy.supervisor.membership.nodes import NOW, Node, World, joined
from tests.waiting import until_seen

END = LogEnd("1" * 32, 7, "a" * 64, (0, ""))
FACTS = NodeFacts("0.1.0", 1, "c" * 64, END, NOW)


class Speaking:
    """A node with what it says of itself."""

    def __init__(self, world: World, name: str) -> None:
        self.facts = FACTS
        self.asked: list[LogEnd | None] = []
        self.events: list[str] = []
        self.kind = Nodes(self._own, lambda event: self.events.append(event.sentence()), lambda: world.now)
        self.node: Node = world.node(name, kinds=[self.kind])

    def _own(self, told: LogEnd | None) -> NodeFacts:
        self.asked.append(told)
        return self.facts


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.nodes._LOOK_SECONDS", 1_000)
    monkeypatch.setattr("proxy.supervisor.membership.kinds.nodes._RETRY_SECONDS", 0.01)
    return world


async def test_nodes_hear_of_each_other_and_miss_one_that_ends(world: World) -> None:
    one, two = Speaking(world, "one"), Speaking(world, "two")
    two.facts = replace(FACTS, configuration="d" * 64)
    async with one.node.running():
        await one.node.founds()
        async with two.node.running():
            await joined(two.node, one.node)
            one.kind.look()
            await until_seen(lambda: one.kind.alive == two.kind.alive == {"one", "two"})
            assert one.kind.facts == two.kind.facts == {"one": FACTS, "two": two.facts}
            assert one.kind.differing("c" * 64) == {"two": "d" * 64}
            two.facts = FACTS
            two.kind.look()
            await until_seen(lambda: one.kind.differing("c" * 64) == {})
            assert world.store.lasting == {
                "nodes/one/alive": 90,
                "nodes/two/alive": 90,
                "requests/two": 600,
                **{name: 600 for name in world.store.lasting if name.startswith("invitations/")},
            }
        await until_seen(lambda: one.kind.alive == {"one"})
        assert one.kind.facts["two"] == FACTS, "its audit log is remembered"
        assert [text for text in one.events if "two" in text] == [
            "two serves by configuration dddddddddddd",
            "two is there",
            "two serves by configuration cccccccccccc",
            "two is gone, or does not reach the store",
        ]
        assert one.asked[-1] == FACTS.audit


async def test_the_lowest_schema_is_that_of_all_members_and_of_none_that_is_silent(world: World) -> None:
    one = Speaking(world, "one")
    for name, schema in (("one", 3), ("two", 2)):
        one.kind.take({f"nodes/{name}/facts": replace(FACTS, schema=schema)})
    assert [one.kind.lowest_schema(members) for members in (["one"], ["one", "two"])] == [3, 2]
    assert [one.kind.lowest_schema(members) for members in (["one", "two", "three"], [])] == [0, 0]


async def test_an_audit_log_that_was_changed_is_told_once(world: World) -> None:
    one = Speaking(world, "one")
    async with one.node.running():
        await one.node.founds()
        one.kind.look()
        await until_seen(lambda: one.kind.facts)
        one.facts = replace(FACTS, audit=replace(END, sequence=6))
        one.kind.look()
        await until_seen(lambda: one.kind.broken)
        assert one.kind.broken == {"one": (NOW, "it has 6 lines, and had 7")}
        one.facts = replace(one.facts, audit=None)
        one.kind.look()
        await until_seen(lambda: one.kind.facts["one"].audit is None)
        assert one.kind.broken == {"one": (NOW, "it is written no more")}
        assert sum("audit log" in text for text in one.events) == 2


async def test_an_idle_node_asks_little_and_says_again_that_it_is_there(world: World) -> None:
    """Of one whose sign was lost, too: it was away from the store for longer than that lasts."""
    one = Speaking(world, "one")
    async with one.node.running():
        await one.node.founds()
        one.kind.look()
        await until_seen(lambda: one.kind.alive)
        await until_seen(lambda: one.node.member.revision == world.store.revision)
        before = world.store.revision
        asked = len(one.asked)
        one.kind.look()
        await until_seen(lambda: len(one.asked) > asked)
        assert world.store.revision == before, "nothing is new"
        world.now += 31
        one.kind.look()
        await until_seen(lambda: world.store.revision > before)
        before = world.store.revision
        world.now += 600
        one.kind.look()
        await until_seen(lambda: one.kind.facts["one"].at == world.now)
        await until_seen(lambda: world.store.entries["nodes/one/alive"].revision > before)
        world.store.write({"nodes/one/alive": None})
        await until_seen(lambda: one.events[-2:] == ["one is gone, or does not reach the store", "one is there"])


async def test_parts_of_a_newer_version_and_strange_names_are_left_alone(world: World) -> None:
    one = Speaking(world, "one")
    async with one.node.running():
        await one.node.founds()
        await one.node.member.write(
            {"nodes/two/newer": {"a": 1}, "nodes/\x1b/alive": {}, "nodes/two/facts": FACTS.as_json()}
        )
        await until_seen(lambda: "two" in one.kind.facts)
        assert one.node.member.fault is None
        assert "\x1b" not in one.kind.alive
        await one.node.member.write({"nodes/two/facts": None})
        await until_seen(lambda: "two" not in one.kind.facts)


async def test_an_etcd_of_yesterday_makes_no_audit_log_look_changed(world: World) -> None:
    """Its facts are older than what nodes remember: their owner tells them again."""
    one = Speaking(world, "one")
    async with one.node.running():
        await one.node.founds()
        one.kind.look()
        await until_seen(lambda: one.kind.facts)
        yesterday, revision = dict(world.store.entries), world.store.revision
        world.now += 60
        one.facts = replace(FACTS, audit=replace(END, sequence=9, hash="e" * 64, told=(7, "a" * 64)))
        one.kind.look()
        await until_seen(lambda: one.kind.facts["one"].at == world.now)
        newest = one.kind.facts["one"]
        world.store.fail("restored")
        await until_seen(lambda: one.node.member.fault)
        world.store.entries = yesterday
        world.store.revision = revision
        world.store.history.clear()
        world.store.fail(None)
        await until_seen(lambda: "lost changes" in (one.node.member.fault or ""))
        world.now += 60
        await one.node.member.accept_restore()
        await until_seen(lambda: one.kind.facts["one"].at == world.now)
        assert one.kind.facts["one"] == replace(newest, at=world.now)
        assert one.kind.broken == {}
        await until_seen(lambda: one.node.member.fault is None)
