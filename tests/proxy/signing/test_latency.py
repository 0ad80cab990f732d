"""When another token is asked as well."""

import pytest

from proxy.signing.latency import Latencies


def of(*seconds: float) -> Latencies:
    latencies = Latencies()
    for one in seconds:
        latencies.add(one)
    return latencies


def test_unknown_token_is_taken_for_a_slow_device() -> None:
    assert of().typical == 0.1
    assert of().hedge_after == 0.2


def test_twice_what_ninety_five_of_a_hundred_take() -> None:
    latencies = of(*[0.010] * 94, *[0.050] * 6)
    assert latencies.typical == 0.010
    assert latencies.hedge_after == 0.100
    assert of(*[0.050] * 5, *[0.020] * 95).hedge_after == pytest.approx(0.1)
    assert of(*[0.050] * 4, *[0.020] * 96).hedge_after == pytest.approx(0.04)


def test_never_within_twenty_milliseconds() -> None:
    assert of(*[0.001] * 50).hedge_after == 0.020


def test_only_the_last_signatures_count() -> None:
    latencies = of(*[1.0] * 128, *[0.030] * 128)
    assert latencies.hedge_after == 0.060
    latencies.add(2.0)
    assert latencies.hedge_after == 0.060


def test_one_signature_is_all_that_is_known() -> None:
    assert of(0.3).hedge_after == 0.6


def test_after_a_second_in_any_case() -> None:
    """However slow it was: there are five, and the other token needs its own."""
    assert of(*[3.0] * 50).hedge_after == 1.0


def test_the_median_of_a_few_says_nothing() -> None:
    assert of(*[0.3] * 7).median == 0.0
    assert of(*[0.3] * 8).median == 0.3
