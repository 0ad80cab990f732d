"""Clients that `require` would refuse: under which network and user agent they are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.counts.breaking import BreakingClients, client_network, day_of, merge_breaking, user_agent


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("::1", "::/48"),
    ],
)
def test_a_network_is_what_a_site_has(address: str, network: str) -> None:
    assert client_network(address) == network


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([(b"Host", b"a"), (b"User-AGENT", b"curl/8.14.1"), (b"User-Agent", b"second")], "curl/8.14.1"),
        ([(b"User-Agent", b"")], "-"),
        ([(b"Host", b"a")], "-"),
        ([(b"user-agent", b"a\x1b[31m\xc3\xa4\tb")], "a?[31m???b"),
        ([(b"user-agent", b"x" * 8_000)], "x" * 120),
    ],
)
def test_a_user_agent_is_short_and_printable(headers: list[tuple[bytes, bytes]], shown: str) -> None:
    assert user_agent(headers) == shown


@given(st.binary(max_size=300))
def test_no_user_agent_reaches_a_terminal_as_it_came(value: bytes) -> None:
    shown = user_agent([(b"user-agent", value)])
    assert shown.isascii()
    assert shown.isprintable()
    assert 1 <= len(shown) <= 120


class Days:
    """What day it is."""

    def __init__(self) -> None:
        self.today = "2026-11-28"

    def __call__(self) -> str:
        return self.today


def seen(*clients: tuple[str, bytes], days: Days | None = None) -> BreakingClients:
    breaking = BreakingClients(days or Days())
    for address, agent in clients:
        breaking.add("public", "chat.test", address, [(b"User-Agent", agent)])
    return breaking


def test_summaries_count_and_merge() -> None:
    first = seen(("192.0.2.1", b"old"), ("192.0.2.2", b"old"), ("198.51.100.1", b"new"))
    second = seen(("192.0.2.3", b"new"))
    second.add("inner", None, "192.0.2.4", ())
    merged = merge_breaking([first.snapshot(), second.snapshot()])
    assert list(merged) == ["2026-11-28"]
    public, inner = merged["2026-11-28"]["public"], merged["2026-11-28"]["inner"]
    assert public["networks"] == {
        "capacity": 64,
        "total": 4,
        "entries": [["192.0.2.0/24", 3, 0], ["198.51.100.0/24", 1, 0]],
    }
    assert public["agents"]["entries"] == [["new", 2, 0], ["old", 2, 0]]
    assert public["names"]["entries"] == [["chat.test", 4, 0]]
    assert inner["agents"]["entries"] == inner["names"]["entries"] == [["-", 1, 0]]
    assert second.rows() == [{"listener": "inner", "count": 1}, {"listener": "public", "count": 1}]


def test_each_day_is_counted_alone_and_two_are_remembered() -> None:
    days = Days()
    breaking = seen(days=days)
    for day in ("2026-11-27", "2026-11-28", "2026-11-29"):
        days.today = day
        breaking.add("public", None, "192.0.2.1", ())
    snapshot = breaking.snapshot()
    assert {day: found["public"]["agents"]["total"] for day, found in snapshot.items()} == {
        "2026-11-28": 1,
        "2026-11-29": 1,
    }
    older = seen(("192.0.2.1", b"old")).snapshot()
    assert list(merge_breaking([{"2026-11-20": older["2026-11-28"]}, snapshot])) == ["2026-11-28", "2026-11-29"]
    assert breaking.rows() == [{"listener": "public", "count": 3}]
    assert merge_breaking([]) == {}


@pytest.mark.parametrize(
    ("now", "day"), [(0.0, "1970-01-01"), (86_399.9, "1970-01-01"), (1_795_824_000.0, "2026-11-28")]
)
def test_a_day_is_that_of_utc(now: float, day: str) -> None:
    assert day_of(now) == day
