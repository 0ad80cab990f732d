"""A client of QUIC until it is served: what becomes of it in between. Handshakes are in the tests of the listener."""

from collections.abc import Iterator

import pytest

from proxy.downstream.listeners.quic_arrival import QuicArrival
from proxy.quic.availability import unavailable
from tests.proxy.downstream.listeners.listener_world import Credential, World
from tests.proxy.downstream.listeners.test_quic_listener import Udp, first_datagram

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@pytest.fixture
def udp(world: World, credential: Credential) -> Iterator[Udp]:
    udp = Udp(world, credential)
    yield udp
    world.listener.end_datagrams()
    for one in list(world.http.connections.all()):
        one.shed()
    world.loop.settle()
    world.loop.advance(60)
    udp.client.close()


def test_one_that_stalls_is_ended_by_its_deadline(udp: Udp) -> None:
    assert udp.say(first_datagram()) is not None
    assert udp.quic._half_open == 1
    udp.world.loop.advance(11)
    udp.world.loop.settle()
    (record,) = udp.world.records
    assert record.reason == "timeout"
    assert udp.quic._half_open == 0
    assert udp.world.counters.listener("public").open == 0


def test_one_that_waits_makes_room_for_others(udp: Udp) -> None:
    assert udp.say(first_datagram()) is not None
    (one,) = (one for one in udp.world.http.connections.all() if isinstance(one, QuicArrival))
    assert one.idle is not None
    one.shed()
    udp.world.loop.settle()
    assert udp.quic._half_open == 0
    assert udp.world.records == []
    assert udp.world.counters.listener("public").open == 0


def test_a_client_is_known_by_the_ends_of_its_datagrams(udp: Udp) -> None:
    assert udp.say(first_datagram()) is not None
    (one,) = (one for one in udp.world.http.connections.all() if isinstance(one, QuicArrival))
    assert one.idle is not None
    assert one.idle.listener == "public"
