"""What TCP and QUIC share of a client that arrives: both are ended, counted and drained alike.

That it is admitted, judged and served is in the tests of the listener.
"""

import socket
from collections.abc import Iterator

import pytest

from proxy.downstream.listeners.arrival import Arrival
from proxy.limits.idleness import Shown
from tests.proxy.downstream.listeners.listener_world import World


@pytest.fixture
def arrival(world: World) -> Iterator[World]:
    """One whose client has connected, and says nothing."""
    with socket.create_connection(world.listening.getsockname()):
        world.loop.settle()
        yield world


def only(world: World) -> Arrival:
    """The one that has not shaken hands yet."""
    (one,) = (one for one in world.http.connections.all() if isinstance(one, Arrival))
    return one


def test_a_client_that_says_nothing_is_the_first_to_go(arrival: World) -> None:
    one = only(arrival)
    assert one.idle is not None
    assert one.idle.shown is Shown.NOTHING
    one.shed()
    arrival.loop.settle()
    assert not any(isinstance(one, Arrival) for one in arrival.http.connections.all())
    assert arrival.records == []


def test_a_drain_waits_for_it_a_short_time(arrival: World) -> None:
    one = only(arrival)
    one.drain(30.0)
    one.configuration_changed(30.0)
    one.give_up("it ends with the process")
    arrival.loop.advance(2.5)
    arrival.loop.settle()
    (record,) = arrival.records
    assert record.reason == "timeout"
