"""What is said of connections that were refused or ended: numbers, now and then."""

from collections import Counter
from typing import Any

import pytest

from proxy.limits.networks import network_of
from proxy.limits.reasons import ConnectionReason
from proxy.observe.turned_away import TurnedAway
from tests.fakes import FakeLoop


class World:
    """What is counted and said."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.said: list[tuple[dict[str, Any], str]] = []
        self.turned_away = TurnedAway(
            self.loop, self.count, lambda event: self.said.append((event.as_json(), event.sentence()))
        )

    def count(self, listener: str, reason: str) -> None:
        """Count one."""
        self.counts[listener, reason] += 1

    def add(
        self, reason: ConnectionReason, times: int = 1, address: str = "192.0.2.1", listener: str = "public"
    ) -> None:
        """So many, of one client."""
        for _ in range(times):
            self.turned_away.add(listener, reason, network_of(address))


@pytest.fixture
def world() -> World:
    return World()


def test_each_is_counted_and_a_flood_is_one_line(world: World) -> None:
    world.add(ConnectionReason.SHED_SILENT, 500)
    world.add(ConnectionReason.CONNECTIONS, 3, "2001:db8::1")
    assert world.said == []
    world.loop.advance(1.0)
    assert world.said == [
        (
            {
                "event": "turned_away",
                "listener": "public",
                "seconds": 1.0,
                "reasons": {"shed_silent": 500, "connections": 3},
                "clients": {"192.0.2.1": 500, "2001:db8::/64": 3},
            },
            "listener public, connections in 1 s: 500 closed before their ClientHello, 3 refused by connections; "
            "most of them: 192.0.2.1 500 times, 2001:db8::/64 3 times",
        )
    ]
    assert world.counts == {("public", "shed_silent"): 500, ("public", "connections"): 3}


def test_as_long_as_it_goes_on_there_is_a_line_each_half_minute(world: World) -> None:
    for _ in range(100):
        world.add(ConnectionReason.SHED_IDLE)
        world.loop.advance(1.0)
    assert [event["seconds"] for event, _ in world.said] == [1.0, 30.0, 30.0, 30.0]
    assert sum(event["reasons"]["shed_idle"] for event, _ in world.said) == 91


def test_when_it_is_over_nothing_runs_and_the_next_one_is_told_of_soon(world: World) -> None:
    world.add(ConnectionReason.SHED_IDLE)
    world.loop.advance(100.0)
    assert (len(world.said), world.loop.timers) == (1, [])
    world.add(ConnectionReason.SHED_IDLE, listener="internal")
    world.loop.advance(1.0)
    assert [event["listener"] for event, _ in world.said] == ["public", "internal"]


def test_a_pause_of_accepting_names_no_client(world: World) -> None:
    world.turned_away.add("public", ConnectionReason.OUT_OF_DESCRIPTORS)
    world.loop.advance(1.0)
    ((event, line),) = world.said
    assert event["clients"] == {}
    assert line.endswith("accepting paused 1 times, no file descriptors left (LimitNOFILE=, ulimit -n)")


def test_the_end_says_what_there_is_to_say(world: World) -> None:
    world.add(ConnectionReason.HANDSHAKE_RATE, 2)
    world.turned_away.stop()
    world.turned_away.stop()
    assert (len(world.said), world.loop.timers) == (1, [])


def test_what_has_a_line_of_its_own_elsewhere_is_only_counted(world: World) -> None:
    world.add(ConnectionReason.RECORD_FLOOD)
    world.loop.advance(5.0)
    assert (world.said, world.counts) == ([], {("public", "tls_record_flood"): 1})
