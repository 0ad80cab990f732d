"""How often a route may be asked for, by whom."""

import os

from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.limits.shared import SharedTable

NOW = 1_000.0


def rate(route: str = "chat.test/", burst: int = 1, *, is_per_client: bool = True) -> RequestRate:
    """A rate of one request in two seconds."""
    return RequestRate.of(route, 0.5, burst, is_per_client=is_per_client)


def test_each_client_has_its_own_rate_over_all_workers_and_connections() -> None:
    table = SharedTable.create(2)
    other = SharedTable(table.fd, 1)
    os.close(table.fd)
    one, again, two = ClientRates(b"one"), ClientRates(b"one"), ClientRates(b"two")
    assert one.take(rate(), table, NOW) == 0.0
    assert one.take(rate(), table, NOW) == 2.0
    assert again.take(rate(), other, NOW + 0.5) == 1.5
    assert two.take(rate(), other, NOW) == 0.0
    assert again.take(rate(), other, NOW + 2.0) == 0.0


def test_all_clients_share_the_rate_of_a_route() -> None:
    table = SharedTable.private()
    of_all = rate(is_per_client=False)
    assert ClientRates(b"one").take(of_all, table, NOW) == 0.0
    assert ClientRates(b"two").take(of_all, table, NOW) == 2.0


def test_each_route_has_its_own_rate_and_a_changed_one_begins_anew() -> None:
    table, client = SharedTable.private(), ClientRates(b"one")
    for each in (rate(), rate("chat.test/api"), rate(burst=2), rate(is_per_client=False)):
        assert client.take(each, table, NOW) == 0.0
    assert client.take(rate(), table, NOW) == 2.0


def test_a_node_has_its_share_of_a_rate_of_the_fleet_and_counts_who_wanted_it() -> None:
    table = SharedTable.create(2)
    parent = SharedTable(table.fd, 1)
    os.close(table.fd)
    of_fleet = RequestRate.of("chat.test/", 8.0, 8, is_per_client=False).among_nodes("chat.test/")
    table.shares = {of_fleet.of_fleet: 0.5}
    client = ClientRates(b"one")
    waits = [client.take(of_fleet, table, NOW) for _ in range(5)]
    assert waits == [0.0, 0.0, 0.0, 0.0, 0.25]
    assert parent.wanted(of_fleet.of_fleet) == 5
    table.shares = {}
    assert client.take(of_fleet, table, NOW) == 1.0, "a tenth, while the node has heard nothing"
    table.shares = {of_fleet.of_fleet: 0.01}
    assert ClientRates(b"one").take(of_fleet, table, NOW + 60) == 0.0, "one stays"
