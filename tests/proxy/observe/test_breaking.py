"""Clients that `require` would refuse: under which network and user agent they are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.breaking import BreakingClients, client_network, merge_breaking, user_agent


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


def seen(*clients: tuple[str, bytes]) -> BreakingClients:
    breaking = BreakingClients()
    for address, agent in clients:
        breaking.add(address, [(b"User-Agent", agent)])
    return breaking


def test_both_summaries_count_and_merge() -> None:
    first = seen(("192.0.2.1", b"old"), ("192.0.2.2", b"old"), ("198.51.100.1", b"new"))
    second = seen(("192.0.2.3", b"new"))
    merged = merge_breaking([first.snapshot(), second.snapshot()])
    assert merged["networks"] == {
        "capacity": 64,
        "total": 4,
        "entries": [["192.0.2.0/24", 3, 0], ["198.51.100.0/24", 1, 0]],
    }
    assert merged["agents"]["entries"] == [["new", 2, 0], ["old", 2, 0]]
