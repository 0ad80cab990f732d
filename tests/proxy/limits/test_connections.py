"""Who is admitted to a listener, by what this worker and the others have."""

import os
from collections.abc import Iterator

import pytest

from proxy.limits.connections import ClientCounts, ConnectionCounts, ListenerLimits
from proxy.limits.networks import network_of
from proxy.limits.rates import Rate
from proxy.limits.reasons import ConnectionReason
from proxy.limits.shared import SharedTable

ONE, TWO = network_of("192.0.2.1"), network_of("192.0.2.2")


def limits(
    *, connections: int = 100, of_one: int = 50, in_flight: int = 100, in_flight_of_one: int = 50, burst: int = 100
) -> ListenerLimits:
    """Limits, of which a test names the one it is about."""
    return ListenerLimits(connections, of_one, in_flight, in_flight_of_one, Rate.of(1.0, burst), 10.0)


class Clock:
    """A clock that a test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(clock: Clock) -> Iterator[tuple[ConnectionCounts, ConnectionCounts]]:
    """The same listener in two workers."""
    table = SharedTable.create(3)
    tables = SharedTable.attach(table.fd, 1), SharedTable.attach(table.fd, 2)
    yield ConnectionCounts("public", tables[0], clock), ConnectionCounts("public", tables[1], clock)
    os.close(table.fd)


def admit(
    counts: ConnectionCounts, limit: ListenerLimits, network: bytes = ONE, *, is_exempt: bool = False
) -> ClientCounts:
    """Admit what has to be admitted."""
    client = counts.admit(network, limit, is_exempt=is_exempt)
    assert isinstance(client, ClientCounts)
    return client


@pytest.mark.parametrize(
    ("limit", "reason", "other"),
    [
        (limits(connections=2), ConnectionReason.CONNECTIONS, TWO),
        (limits(in_flight=2), ConnectionReason.HANDSHAKES_IN_FLIGHT, TWO),
        (limits(of_one=2), ConnectionReason.CONNECTIONS_PER_ADDRESS, ONE),
        (limits(in_flight_of_one=2), ConnectionReason.HANDSHAKES_PER_ADDRESS, ONE),
        (limits(burst=2), ConnectionReason.HANDSHAKE_RATE, ONE),
    ],
)
def test_limits_hold_over_all_workers(
    workers: tuple[ConnectionCounts, ConnectionCounts], limit: ListenerLimits, reason: ConnectionReason, other: bytes
) -> None:
    for counts in workers:
        admit(counts, limit)
    for counts in workers:
        assert counts.admit(other, limit, is_exempt=False) is reason


@pytest.mark.parametrize("limit", [limits(of_one=1), limits(in_flight_of_one=1), limits(burst=1)])
def test_another_network_has_its_own_share(
    workers: tuple[ConnectionCounts, ConnectionCounts], limit: ListenerLimits
) -> None:
    admit(workers[0], limit)
    admit(workers[1], limit, TWO)
    assert isinstance(workers[0].admit(TWO, limit, is_exempt=False), ConnectionReason)
    admit(workers[0], limit, TWO, is_exempt=True)


def test_another_listener_has_its_own_counts(clock: Clock) -> None:
    table = SharedTable.create(2)
    public = ConnectionCounts("public", SharedTable.attach(table.fd, 0), clock)
    internal = ConnectionCounts("internal", SharedTable.attach(table.fd, 1), clock)
    os.close(table.fd)
    limit = limits(connections=1, of_one=1, in_flight=1, in_flight_of_one=1, burst=1)
    admit(public, limit)
    admit(internal, limit)


def test_what_is_over_makes_room_in_the_other_worker(workers: tuple[ConnectionCounts, ConnectionCounts]) -> None:
    here, there = workers
    limit = limits(connections=2, in_flight=1)
    client = admit(here, limit)
    assert there.admit(TWO, limit, is_exempt=False) is ConnectionReason.HANDSHAKES_IN_FLIGHT
    here.handshake_over(client)
    other = admit(there, limit, TWO)
    there.handshake_over(other)
    assert here.admit(TWO, limit, is_exempt=False) is ConnectionReason.CONNECTIONS
    there.closed(other)
    admit(here, limit)
    assert (here.open, here.in_flight, here.clients) == (2, 1, 1)


def test_nothing_is_left_when_all_are_gone(workers: tuple[ConnectionCounts, ConnectionCounts]) -> None:
    here, there = workers
    limit = limits()
    clients = [admit(here, limit, network) for network in (ONE, TWO, ONE)]
    for client in clients:
        here.handshake_over(client)
        here.closed(client)
    assert (here.open, here.in_flight, here.clients) == (0, 0, 0)
    admit(there, limits(connections=1, of_one=1, in_flight=1, in_flight_of_one=1))


def test_a_connection_that_closes_before_its_handshake_is_over_is_counted_out_in_any_order(
    workers: tuple[ConnectionCounts, ConnectionCounts],
) -> None:
    here, there = workers
    client = admit(here, limits())
    here.closed(client)
    here.handshake_over(client)
    admit(there, limits(connections=1, of_one=1, in_flight=1, in_flight_of_one=1))


def test_what_is_refused_for_another_reason_costs_no_token(
    workers: tuple[ConnectionCounts, ConnectionCounts], clock: Clock
) -> None:
    here, _ = workers
    narrow = limits(of_one=1, burst=2)
    client = admit(here, narrow)
    for _ in range(5):
        assert here.admit(ONE, narrow, is_exempt=False) is ConnectionReason.CONNECTIONS_PER_ADDRESS
    here.closed(client)
    here.handshake_over(client)
    client = admit(here, narrow)
    here.closed(client)
    assert here.admit(ONE, narrow, is_exempt=False) is ConnectionReason.HANDSHAKE_RATE
    clock.now += 1.0
    admit(here, narrow)
