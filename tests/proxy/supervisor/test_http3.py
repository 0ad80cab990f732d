"""Clients are told of HTTP/3 after a handshake, and told to forget it when there is none any more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from proxy.observe.events.event import Event
from proxy.observe.events.process import Http3NotOffered, Http3Offered
from proxy.observe.scrape import Http3Facts
from proxy.quic.advertisement import RememberedOffer
from proxy.quic.doors import Http3Door
from proxy.supervisor.http3 import Http3Offers

DOOR = Http3Door(("127.0.0.1", 8443), 443, "chat.test")
OFFER = b'h3=":443"; ma=3600'


@dataclass
class World:
    """What there is around it; the test sets and reads it."""

    doors: dict[str, Http3Door] = field(default_factory=lambda: {"public": DOOR})
    fault: str | None = None
    now: float = 1_000.0
    probed: list[tuple[tuple[str, int], str]] = field(default_factory=list)
    said: list[Mapping[str, bytes]] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    async def probe(self, address: tuple[str, int], name: str) -> str | None:
        self.probed.append((address, name))
        return self.fault

    async def say(self, values: Mapping[str, bytes]) -> None:
        self.said.append(values)

    def offers(self) -> Http3Offers:
        return Http3Offers(lambda: self.doors, self.probe, self.say, self.told.append, lambda: self.now)


async def test_workers_say_it_after_a_handshake() -> None:
    world = World()
    offers = world.offers()
    assert offers.facts() == {}
    await offers.look()
    assert world.probed == [(("127.0.0.1", 8443), "chat.test")]
    assert world.said == [{"public": OFFER}]
    assert world.told == [Http3Offered("public", 443)]
    assert offers.facts() == {"public": Http3Facts(443, None)}


async def test_it_is_tried_again_after_five_minutes_and_said_once() -> None:
    world = World()
    offers = world.offers()
    await offers.look()
    world.now += 299.0
    await offers.look()
    assert len(world.probed) == 1
    world.now += 1.0
    await offers.look()
    assert len(world.probed) == 2
    assert len(world.said) == len(world.told) == 1


async def test_failure_clears_it_and_is_tried_again_sooner() -> None:
    world = World()
    offers = world.offers()
    await offers.look()
    world.fault = "no answer"
    world.now += 300.0
    await offers.look()
    assert world.said[-1] == {"public": b"clear"}
    assert world.told[-1] == Http3NotOffered("public", "no answer")
    assert offers.facts() == {"public": Http3Facts(443, "no answer")}
    world.fault = None
    world.now += 30.0
    await offers.look()
    assert world.said[-1] == {"public": OFFER}


async def test_first_failure_says_nothing() -> None:
    world = World(fault="no answer")
    await world.offers().look()
    assert world.said == []
    assert world.told == [Http3NotOffered("public", "no answer")]


async def test_listener_without_http_3_clears_it_until_clients_have_forgotten() -> None:
    world = World()
    offers = world.offers()
    await offers.look()
    world.doors = {}
    await offers.look()
    assert world.said[-1] == {"public": b"clear"}
    assert world.told[-1] == Http3NotOffered("public", "http3 is off")
    assert offers.facts() == {}
    world.now += 3_600.0
    await offers.look()
    assert world.said[-1] == {}
    assert len(world.told) == 2


@pytest.mark.parametrize("is_offered", [True, False], ids=["offered", "cleared"])
async def test_next_process_clears_what_this_one_has_offered(*, is_offered: bool) -> None:
    before = World()
    offers = before.offers()
    assert not offers.remembered
    await offers.look()
    left = 3_600.0
    if not is_offered:
        before.fault = "no answer"
        before.now += 300.0
        await offers.look()
        before.now += 600.0
        left -= 600.0
    assert offers.remembered == (RememberedOffer("public", 443, left),)

    after = World(doors={}, now=5.0)
    successor = after.offers()
    successor.adopt(offers.remembered)
    await successor.look()
    assert after.said == [{"public": b"clear"}]
    assert after.told == [Http3NotOffered("public", "http3 is off")]
    assert successor.remembered == offers.remembered
    after.now += left
    await successor.look()
    assert after.said[-1] == {}
    assert not successor.remembered


async def test_next_process_offers_it_after_a_handshake_of_its_own() -> None:
    world = World()
    offers = world.offers()
    offers.adopt([RememberedOffer("public", 443, 3_600.0)])
    assert offers.facts() == {}
    await offers.look()
    assert len(world.probed) == 1
    assert world.said == [{"public": OFFER}]
    assert world.told == [Http3Offered("public", 443)]


async def test_other_door_is_tried_at_once() -> None:
    world = World()
    offers = world.offers()
    await offers.look()
    world.doors = {"public": Http3Door(("127.0.0.1", 8443), 444, "chat.test")}
    await offers.look()
    assert len(world.probed) == 2
    assert world.said[-1] == {"public": OFFER.replace(b"443", b"444")}


async def test_it_runs_on() -> None:
    world = World()
    has_said = asyncio.Event()

    async def say(_values: Mapping[str, bytes]) -> None:
        has_said.set()

    offers = Http3Offers(lambda: world.doors, world.probe, say, world.told.append, lambda: world.now)
    running = asyncio.create_task(offers.run())  # noqa: TID251 - the test ends it
    await has_said.wait()
    running.cancel()
