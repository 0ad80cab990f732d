"""Marks are known for their time, by everybody who shares the cells, and pushed out by too many others only."""

import os

import pytest

from proxy.limits.replays import REPLAY_CELLS, ReplayTable
from proxy.limits.shared import SharedTable

NOW = 1_000_000.5


def table() -> ReplayTable:
    return ReplayTable(memoryview(bytearray(REPLAY_CELLS * 8)).cast("Q"), b"secret")


def test_mark_is_known_from_the_second_time_on_until_its_time_is_over() -> None:
    one = table()
    assert not one.is_known(b"mark", 90.0, NOW)
    assert one.is_known(b"mark", 90.0, NOW)
    assert one.is_known(b"mark", 90.0, NOW + 90)
    assert not one.is_known(b"other", 90.0, NOW)
    assert not one.is_known(b"mark", 90.0, NOW + 93)
    assert one.is_known(b"mark", 90.0, NOW + 93)


def test_mark_that_is_taken_back_is_new_again_and_others_stay() -> None:
    one = table()
    marks = [b"%d" % number for number in range(10_000)]
    for mark in marks:
        one.is_known(mark, 90.0, NOW)
    one.forget(marks[0])
    one.forget(b"never seen")
    assert not one.is_known(marks[0], 90.0, NOW)
    assert all(one.is_known(mark, 90.0, NOW) for mark in marks)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99])
def test_mark_is_known_for_a_second_more_whatever_fractions_there_are(fraction: float) -> None:
    # a token is taken until the whole second of its making is that old
    one = table()
    now = 1_000_000 + fraction
    assert not one.is_known(b"mark", 90.9, now)
    assert one.is_known(b"mark", 90.9, now + 91.9)


@pytest.mark.parametrize("now", [0.0, 2**24 - 10.0, 2**25 - 1.0])
def test_time_may_go_round(now: float) -> None:
    one = table()
    assert not one.is_known(b"mark", 90.0, now)
    assert one.is_known(b"mark", 90.0, now + 60)
    assert not one.is_known(b"mark", 90.0, now + 100)


@pytest.mark.at_length
def test_no_new_mark_is_taken_for_a_known_one_and_few_are_lost() -> None:
    one = table()
    marks = [b"%d" % number for number in range(50_000)]
    assert not any(one.is_known(mark, 90.0, NOW) for mark in marks)
    assert sum(one.is_known(mark, 90.0, NOW) for mark in marks) > 49_000


@pytest.mark.at_length
def test_what_is_over_gives_way_first_then_what_would_be_next() -> None:
    one = table()
    for number in range(400_000):
        one.is_known(b"%d" % number, 90.0, NOW + number / 100_000)
    assert one.is_known(b"399999", 90.0, NOW + 4)
    assert not one.is_known(b"0", 90.0, NOW + 4)


def test_processes_share_it() -> None:
    first = SharedTable.create(2)
    second = SharedTable(first.fd, 1)
    os.close(first.fd)
    assert not first.replays.is_known(b"mark", 90.0, NOW)
    assert second.replays.is_known(b"mark", 90.0, NOW)
    assert not SharedTable.private().replays.is_known(b"mark", 90.0, NOW)
