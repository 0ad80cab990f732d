"""A rate with a burst, held against an ordinary token bucket."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits.rates import Rate, connections_of_fleet, rate_of_fleet


def taken(rate: Rate, times: list[float]) -> list[bool]:
    """Whether there was a token at each of these times."""
    full_at, answers = 0.0, []
    for now in times:
        answers.append(rate.wait(full_at, now) == 0.0)
        if answers[-1]:
            full_at = rate.after_one(full_at, now)
    return answers


def test_a_burst_is_taken_at_once_and_then_one_for_each_interval() -> None:
    rate = Rate.of(2.0, 3)
    assert taken(rate, [10.0] * 5) == [True, True, True, False, False]
    assert taken(rate, [10.0, 10.0, 10.0, 10.4, 10.5, 10.6, 11.0]) == [True, True, True, False, True, False, True]


def test_without_a_burst_they_are_an_interval_apart() -> None:
    assert taken(Rate.of(0.1, 1), [0.0, 9.9, 10.0, 15.0, 20.1]) == [True, False, True, False, True]


def test_the_wait_is_until_the_next_token() -> None:
    rate = Rate.of(0.5, 2)
    full_at = rate.after_one(rate.after_one(0.0, 100.0), 100.0)
    assert rate.wait(full_at, 100.0) == pytest.approx(2.0)
    assert rate.wait(full_at, 101.5) == pytest.approx(0.5)
    assert rate.wait(full_at, 102.0) == 0.0


@given(
    st.integers(1, 64),
    st.integers(1, 10),
    st.lists(st.integers(0, 64), max_size=60),
)
def test_it_is_a_token_bucket(per_second: int, burst: int, gaps: list[int]) -> None:
    """In steps of a 64th of a second, which floats add without an error."""
    times = [sum(gaps[:index]) for index in range(len(gaps))]
    tokens, before, expected = Fraction(burst), 0, []
    for now in times:
        tokens = min(Fraction(burst), tokens + Fraction((now - before) * per_second, 64))
        before = now
        expected.append(tokens >= 1)
        tokens -= expected[-1]
    assert taken(Rate.of(per_second, burst), [1_000 + now / 64 for now in times]) == expected


def test_a_part_of_a_rate_has_that_part_of_its_burst_and_one_at_least() -> None:
    whole = Rate.of(8.0, 8)
    half = whole.part(0.5)
    assert (half.interval, half.tolerance) == (0.25, 0.75)
    assert whole.part(1.0) == whole
    assert whole.part(0.01).tolerance == 0.0


def test_limits_of_a_fleet_have_names_of_their_own() -> None:
    assert rate_of_fleet("public") != connections_of_fleet("public")
