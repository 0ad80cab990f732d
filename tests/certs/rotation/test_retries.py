"""Waits after failures."""

import pytest

from certs.issuing.issuer import FailureKind
from certs.rotation.retries import JITTER, LONGEST_RETRY_AFTER, TABLE, Wait, heeded_seconds, wait_after


@pytest.mark.parametrize("kind", list(FailureKind))
def test_each_kind_has_its_row_which_rises(kind: FailureKind) -> None:
    row = TABLE[kind]
    assert list(row) == sorted(row)
    waits = [wait_after(kind, failures, None, 0.0, 1_000.0).until - 1_000.0 for failures in range(len(row) + 2)]
    assert waits == [*row, row[-1], row[-1]]


def test_jitter_only_adds() -> None:
    assert wait_after(FailureKind.TEMPORARY, 0, None, 1.0, 0.0).until == 60.0 * (1 + JITTER)


def test_a_wish_is_obeyed_where_it_is_longer_and_can_be_meant() -> None:
    assert wait_after(FailureKind.TEMPORARY, 0, 7_200.0, 0.0, 0.0).until == 7_200.0
    assert wait_after(FailureKind.TEMPORARY, 0, 1.0, 0.0, 0.0).until == 60.0
    assert wait_after(FailureKind.RATE_LIMITED, 0, 1e9, 0.0, 0.0).until == LONGEST_RETRY_AFTER


def test_failures_are_counted() -> None:
    assert wait_after(FailureKind.TEMPORARY, 3, None, 0.0, 0.0).failures == 4


def test_what_an_issuer_asks_for_is_told_from_what_the_table_says() -> None:
    assert not wait_after(FailureKind.TEMPORARY, 0, None, 0.0, 0.0).is_wish
    assert not wait_after(FailureKind.TEMPORARY, 0, 59.0, 0.0, 0.0).is_wish, "the table's is longer"
    assert wait_after(FailureKind.TEMPORARY, 0, 61.0, 0.0, 0.0).is_wish
    assert wait_after(FailureKind.RATE_LIMITED, 0, None, 0.0, 0.0).is_wish


@pytest.mark.parametrize("kind", list(FailureKind))
@pytest.mark.parametrize("retry_after", [None, 1e9])
@pytest.mark.parametrize("left", [3_600.0, 6 * 3_600.0, 86_400.0, 9 * 86_400.0])
def test_no_wait_is_slept_through_the_end_of_what_serves(
    kind: FailureKind, retry_after: float | None, left: float
) -> None:
    wait = wait_after(kind, 99, retry_after, 1.0, 1_000.0)
    assert wait.end(1_000.0 + left) <= min(wait.until, 1_000.0 + max(600.0, left / 3))


def test_a_few_tries_are_left_of_the_last_six_minutes() -> None:
    now, end, tries = 0.0, 360.0, 0
    while now < end:
        tries += 1
        now = wait_after(FailureKind.TEMPORARY, 2 + tries, None, 1.0, now).end(end)
    assert tries == 5


@pytest.mark.parametrize(
    ("kind", "retry_after", "seconds"),
    [
        (FailureKind.TEMPORARY, None, 900.0),
        (FailureKind.PERMANENT, None, 3_600.0),
        (FailureKind.RATE_LIMITED, 86_400.0, 3_600.0),
    ],
)
def test_what_has_expired_is_tried_often(kind: FailureKind, retry_after: float | None, seconds: float) -> None:
    assert wait_after(kind, 99, retry_after, 0.0, 5_000.0).end(4_000.0) == 5_000.0 + seconds


def test_where_nothing_serves_nothing_can_expire() -> None:
    wait = Wait(1, 0.0, 77.0, FailureKind.PERMANENT)
    assert wait.end(None) == 77.0


@pytest.mark.parametrize(
    ("expires", "seconds"), [(None, 86_400.0), (9e9, 86_400.0), (5_000.0 + 7_200, 2_400.0), (4_000.0, 3_600.0)]
)
def test_a_wish_is_heeded_the_less_the_nearer_the_end_is(expires: float | None, seconds: float) -> None:
    assert heeded_seconds(expires, 5_000.0) == seconds
