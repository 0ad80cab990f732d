"""What a key exchange costs a server here."""

from proxy.tls.openssl.group_costs import SLOW_SECONDS, exchange_seconds, slow_groups
from proxy.tls.wire.groups import KNOWN, NamedGroup, classify

SLOW = KNOWN["ffdhe8192"]
"""42 ms on a machine where X25519 takes 0.3."""


def test_slow_group_is_told_from_a_fast_one() -> None:
    found = slow_groups([KNOWN["x25519"], SLOW])
    assert list(found) == [SLOW.code_point]
    assert found[SLOW.code_point] > 2 * SLOW_SECONDS
    assert 0 < exchange_seconds("X25519") < SLOW_SECONDS


def test_group_is_measured_once() -> None:
    assert exchange_seconds(SLOW.name) == exchange_seconds(SLOW.name)


def test_group_with_which_no_flight_can_be_made_costs_nothing() -> None:
    nonsense: NamedGroup = classify("hqc9", 1)
    assert slow_groups([nonsense]) == {}
