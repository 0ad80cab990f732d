"""Histograms: which bucket a value falls in, and what is said about their shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.figures.histogram import Histogram, quantile

BOUNDS = (0.1, 1.0, 10.0)


def observed(*values: float) -> Histogram:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    return histogram


def test_a_value_belongs_to_the_first_bucket_that_it_does_not_exceed() -> None:
    assert observed(0.0, 0.1, 0.11, 1.0, 10.0, 10.1, 99.0).row(route="/") == {
        "route": "/",
        "counts": [2, 2, 1, 2],
        "sum": pytest.approx(120.31),
    }


def test_a_row_does_not_change_with_the_histogram() -> None:
    histogram = observed(0.5)
    row = histogram.row()
    histogram.observe(0.5)
    assert row == {"counts": [0, 1, 0, 0], "sum": 0.5}


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 0.1), (0.5, 0.1), (0.51, 1.0), (0.9, 10.0), (0.91, float("inf"))]
)
def test_a_quantile_is_the_bound_that_enough_values_do_not_exceed(share: float, expected: float) -> None:
    assert quantile(BOUNDS, [5, 3, 1, 1], share) == expected


def test_nothing_has_no_quantile() -> None:
    assert quantile(BOUNDS, [0, 0, 0, 0], 0.99) is None


@given(st.lists(st.floats(0, 20), min_size=1), st.floats(0.01, 1))
def test_at_least_the_share_is_not_above_the_quantile(values: list[float], share: float) -> None:
    bound = quantile(BOUNDS, observed(*values).counts, share)
    assert bound is not None
    assert sum(value <= bound for value in values) >= share * len(values)
