"""How a limit is cut into shares: all of it, fairly, and never more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.supervisor.membership.kinds.share_cut import cut

NODES = st.sampled_from(["a", "b", "c", "d", "e"])
WANTED = st.dictionaries(NODES, st.floats(0, 10))


@given(WANTED, st.sets(NODES))
def test_all_shares_together_are_the_limit_and_the_even_part_of_who_is_missing_is_kept(
    wanted: dict[str, float], members: set[str]
) -> None:
    shares = cut(wanted, members)
    assert shares.keys() == {*wanted, *members}
    if shares:
        even = 1 / len(shares)
        assert math.isclose(sum(shares.values()), 1.0)
        assert all(shares[node] == even for node in members - wanted.keys())
        assert all(share >= even / 10 * (1 - 1e-9) for share in shares.values())


@given(WANTED)
def test_who_gets_less_than_it_wants_has_no_less_than_any_other(wanted: dict[str, float]) -> None:
    shares = cut(wanted, ())
    most = max(shares.values(), default=0.0)
    for node, share in shares.items():
        assert share >= min(wanted[node], most) - 1e-9


@pytest.mark.parametrize(
    ("wanted", "shares"),
    [
        ({}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ({"a": 5.0, "b": 0.0, "c": 0.0}, {"a": 14 / 15, "b": 1 / 30, "c": 1 / 30}),
        ({"a": 5.0, "b": 0.0}, {"a": 2 / 3 - 1 / 30, "b": 1 / 30, "c": 1 / 3}),
        ({"a": 0.6, "b": 0.3, "c": 0.5}, {"a": 0.35, "b": 0.3, "c": 0.35}),
    ],
)
def test_examples(wanted: dict[str, float], shares: dict[str, float]) -> None:
    assert cut(wanted, ["a", "b", "c"]) == pytest.approx(shares)
