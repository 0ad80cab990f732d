"""What this worker and the others have, of all clients and of each."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proxy.limits.connections import ClientCounts, ConnectionCounts, ListenerLimits
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.rates import UNKNOWN_SHARE, Rate, connections_of_fleet
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
    tables = SharedTable(table.fd, 1), SharedTable(table.fd, 2)
    yield ConnectionCounts("public", tables[0], clock), ConnectionCounts("public", tables[1], clock)
    os.close(table.fd)


@pytest.fixture
def here(workers: tuple[ConnectionCounts, ConnectionCounts]) -> ConnectionCounts:
    return workers[0]


@pytest.fixture
def there(workers: tuple[ConnectionCounts, ConnectionCounts]) -> ConnectionCounts:
    return workers[1]


def count_in(counts: ConnectionCounts, network: bytes = ONE) -> ClientCounts:
    """One more of a client."""
    client = counts.client(network)
    counts.count_in(client)
    return client


def test_connections_and_handshakes_are_those_of_all_workers(here: ConnectionCounts, there: ConnectionCounts) -> None:
    limit = limits(connections=3, in_flight=2)
    assert here.surplus(limit) == (-2, -1)
    count_in(here)
    client = count_in(there, TWO)
    assert here.surplus(limit) == there.surplus(limit) == (0, 1)
    there.handshake_over(client, has_shown=False)
    assert here.surplus(limit) == (0, 0)
    there.closed(client)
    assert here.surplus(limit) == (-1, 0)
    assert (here.open, here.in_flight, len(here._clients)) == (1, 1, 1)


def test_a_client_has_its_own_counts(here: ConnectionCounts, there: ConnectionCounts) -> None:
    limit = limits(of_one=2, in_flight_of_one=2)
    count_in(here)
    count_in(there)
    assert there.surplus_of(there.client(ONE), limit) == 1
    assert there.surplus_of(there.client(TWO), limit) == -1


def test_a_handshake_counts_as_its_clients_from_the_hello_on(here: ConnectionCounts, there: ConnectionCounts) -> None:
    limit = limits(in_flight_of_one=1)
    silent, shown = count_in(here), count_in(here)
    assert there.surplus_handshakes_of(there.client(ONE), limit) == 0
    here.hello_shown(shown)
    assert there.surplus_handshakes_of(there.client(ONE), limit) == 1
    here.handshake_over(silent, has_shown=False)
    assert here.surplus_handshakes_of(shown, limit) == 1
    here.handshake_over(shown, has_shown=True)
    assert there.surplus_handshakes_of(there.client(ONE), limit) == 0


def test_another_listener_has_its_own_counts(clock: Clock) -> None:
    table = SharedTable.create(2)
    public = ConnectionCounts("public", SharedTable(table.fd, 0), clock)
    internal = ConnectionCounts("internal", SharedTable(table.fd, 1), clock)
    os.close(table.fd)
    count_in(public)
    public.can_spare(5, 5)
    assert internal.surplus(limits()) == (-99, -99)
    assert internal.surplus_of(internal.client(ONE), limits()) == -49
    assert internal.others_can_spare == (0, 0)


def test_nothing_is_left_when_all_are_gone(here: ConnectionCounts, there: ConnectionCounts) -> None:
    for client in [count_in(here, network) for network in (ONE, TWO, ONE)]:
        here.hello_shown(client)
        here.handshake_over(client, has_shown=True)
        here.closed(client)
    assert (here.open, here.in_flight, len(here._clients)) == (0, 0, 0)
    assert there.surplus(limits()) == (-99, -99)
    assert there.surplus_of(there.client(ONE), limits()) == -49


def test_a_connection_that_closes_before_its_handshake_is_over_is_counted_out_in_any_order(
    here: ConnectionCounts, there: ConnectionCounts
) -> None:
    client = count_in(here)
    here.closed(client)
    here.handshake_over(client, has_shown=False)
    assert there.surplus(limits()) == (-99, -99)


def test_one_that_was_told_to_end_stands_in_nobodys_way(here: ConnectionCounts) -> None:
    limit = limits(connections=1, of_one=1)
    client = count_in(here)
    assert (here.surplus(limit)[0], here.surplus_of(client, limit)) == (1, 1)
    here.leaves(ONE)
    assert (here.surplus(limit)[0], here.surplus_of(client, limit)) == (0, 0)
    count_in(here)
    here.closed(client)
    assert (here.surplus(limit)[0], here.surplus_of(client, limit)) == (1, 1)


def test_one_of_an_exempt_network_that_was_told_to_end_is_counted_out_all_the_same(here: ConnectionCounts) -> None:
    client = count_in(here)
    here.leaves(EXEMPT)
    assert here.surplus(limits(connections=1))[0] == 0
    here.closed(client)
    assert here.surplus(limits(connections=1))[0] == 0


def test_workers_know_what_the_others_could_spare(here: ConnectionCounts, there: ConnectionCounts) -> None:
    here.can_spare(handshakes=7, idle=3)
    assert there.others_can_spare == (3, 7)
    assert here.others_can_spare == (0, 0)
    assert [there.has_most_to_spare(handshakes) for handshakes in (6, 7)] == [False, True]
    here.can_spare(handshakes=0, idle=0)
    assert there.has_most_to_spare(0)


def test_what_can_be_spared_hides_no_connection_that_is_counted_in_the_same_place(clock: Clock) -> None:
    """The places of both are drawn by lot, a few hundred: one in a hundred proxies has them together."""
    table = SharedTable.create(2)
    here, there = SharedTable(table.fd, 0), SharedTable(table.fd, 1)
    os.close(table.fd)
    listener = next(
        name
        for name in map(str, range(100_000))
        if here.total_place(name.encode())[0] == here.total_place(name.encode() + b"\0spare")[0]
    )
    counts, others = ConnectionCounts(listener, here, clock), ConnectionCounts(listener, there, clock)
    count_in(counts)
    count_in(counts)
    counts.can_spare(handshakes=1, idle=0)
    counts.can_spare(handshakes=0, idle=0)
    assert others.surplus(limits(connections=2))[0] == 1


def test_one_alone_always_has_most(clock: Clock) -> None:
    assert ConnectionCounts("public", SharedTable.private(), clock).has_most_to_spare(0)


def test_the_rate_of_a_client_is_that_of_all_workers(
    here: ConnectionCounts, there: ConnectionCounts, clock: Clock
) -> None:
    limit = limits(burst=2)
    assert here.take_token(here.client(ONE), limit)
    assert there.take_token(there.client(ONE), limit)
    assert not here.take_token(here.client(ONE), limit)
    assert here.take_token(here.client(TWO), limit)
    clock.now += 1.0
    assert here.take_token(here.client(ONE), limit)


def test_slow_key_exchanges_have_a_rate_of_their_own(
    here: ConnectionCounts, there: ConnectionCounts, clock: Clock
) -> None:
    limit = replace(limits(), slow_rate=Rate.of(1.0, 2))
    client = count_in(here)
    assert [one.take_slow_token(client, limit) for one in (here, there, here)] == [True, True, False]
    assert here.take_slow_token(count_in(here, TWO), limit)
    assert here.take_token(client, limit)
    clock.now += 1.0
    assert [one.take_slow_token(client, limit) for one in (there, here)] == [True, False]
    third = count_in(here, network_of("192.0.2.3"))
    assert all(here.take_slow_token(third, limits()) for _ in range(100)), "no rate is set"


def test_a_node_has_its_share_of_what_the_fleet_allows() -> None:
    table = SharedTable.private()
    counts = ConnectionCounts("public", table, Clock())
    of_fleet = replace(limits(connections=8), fleet_connections=20)
    name = connections_of_fleet("public")
    for share, most in ((0.25, 5), (0.5, 8), (0.0, 0)):  # never more than the limit of the node
        table.shares = {name: share}
        assert counts.surplus(of_fleet)[0] == 1 - most
    table.shares = {}
    assert counts.surplus(of_fleet)[0] == 1 - int(20 * UNKNOWN_SHARE)


def test_the_parent_sees_how_many_are_open(workers: tuple[ConnectionCounts, ConnectionCounts]) -> None:
    here, there = workers
    count_in(here)
    count_in(there)
    assert here._shared.open_at("public") == 1
    assert here._shared.open_at("other") == 0
