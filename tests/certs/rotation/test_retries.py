"""Waits after failures."""

import pytest

from certs.issuing.issuer import FailureKind
from certs.rotation.retries import JITTER, LONGEST_RETRY_AFTER, TABLE, wait_after


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
