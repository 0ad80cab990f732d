"""The clients with most requests lately."""

from proxy.observe.counts.busiest import KEPT, WINDOW_SECONDS, BusiestClients, busiest

NOW = 1_780_000_000.0


def counted(*clients: tuple[str, int], at: float = NOW) -> BusiestClients:
    """Each client with so many requests."""
    found = BusiestClients()
    for client, times in clients:
        for _ in range(times):
            found.add(client, at)
    return found


def listed(*workers: BusiestClients, now: float = NOW) -> list[tuple[str, float]]:
    return [(one["client"], one["share"]) for one in busiest([one.snapshot() for one in workers], now, 3)]


def test_those_with_most_come_first_over_all_workers() -> None:
    first = counted(("192.0.2.1", 6), ("192.0.2.2", 2))
    second = counted(("192.0.2.3", 5), ("192.0.2.2", 3), ("192.0.2.4", 4))
    assert listed(first, second) == [("192.0.2.1", 0.3), ("192.0.2.2", 0.25), ("192.0.2.3", 0.25)]


def test_a_network_of_ipv6_is_one_client() -> None:
    found = counted(("2001:db8::1", 1), ("2001:db8::ffff:2", 1), ("fe80::1%eth0", 1))
    assert listed(found) == [("2001:db8::/64", 2 / 3), ("fe80::/64", 1 / 3)]


def test_a_busy_client_is_listed_in_a_flood_of_others() -> None:
    found = BusiestClients()
    for number in range(40 * KEPT):
        found.add("192.0.2.1" if number % 10 == 0 else f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW)
    assert listed(found)[0][0] == "192.0.2.1"
    assert len(found.snapshot()["entries"]) == KEPT


def test_what_is_old_is_forgotten() -> None:
    found = counted(("192.0.2.1", 3))
    for number in range(1, 3):
        found.add("192.0.2.2", NOW + number * WINDOW_SECONDS)
        assert ("192.0.2.1" in dict(listed(found, now=NOW + number * WINDOW_SECONDS))) is (number == 1)
    for later in (10 * WINDOW_SECONDS, -3_600.0):  # silence, and a clock that is set back
        found = counted(("192.0.2.1", 3))
        found.add("192.0.2.3", NOW + later)
        assert listed(found, now=NOW + later) == [("192.0.2.3", 1.0)]


def test_a_worker_without_requests_says_nothing() -> None:
    found = counted(("192.0.2.1", 3))
    assert listed(found, now=NOW + 2 * WINDOW_SECONDS) == []
    assert busiest([], NOW, 3) == []
