"""When freed memory is returned: soon while that is worth it, and seldom while it is not."""

import pytest

from proxy.limits.freed_memory import FreedMemory

MB = 1_000_000


def tries(freed: FreedMemory, resident: int, seconds: int, begins: int = 0, connections: int = 0) -> list[int]:
    """The seconds in which a process of this size tries, of which nothing comes."""
    found = []
    for now in range(begins, begins + seconds):
        if freed.may_be_worth_it(resident, connections, now):
            found.append(now - begins)
            freed.returned(resident, resident, 0.001, now)
    return found


def test_process_that_is_as_large_as_it_ever_was_returns_nothing() -> None:
    freed = FreedMemory(100 * MB)
    assert not freed.may_be_worth_it(90 * MB, 0, 1.0), "it was larger before"
    assert not freed.may_be_worth_it(99 * MB, 0, 2.0)
    assert freed.may_be_worth_it(100 * MB, 0, 3.0)


def test_tries_in_vain_become_rare() -> None:
    freed = FreedMemory(100 * MB)
    assert tries(freed, 500 * MB, 140) == [0, 2, 6, 14, 30, 62, 94, 126]


def test_try_that_is_worth_it_is_followed_by_another_one() -> None:
    freed = FreedMemory(100 * MB)
    tries(freed, 500 * MB, 60)
    assert freed.may_be_worth_it(500 * MB, 0, 100.0)
    freed.returned(500 * MB, 400 * MB, 0.001, 100.0)
    assert not freed.may_be_worth_it(400 * MB, 0, 100.5)
    assert freed.may_be_worth_it(400 * MB, 0, 101.0)


def test_crowd_that_leaves_is_no_reason_to_wait() -> None:
    freed = FreedMemory(100 * MB)
    tries(freed, 500 * MB, 60, connections=1_000)
    assert not freed.may_be_worth_it(500 * MB, 800, 61.0)
    assert not freed.may_be_worth_it(500 * MB, 1_000, 61.0)
    assert freed.may_be_worth_it(500 * MB, 700, 61.0)
    freed.returned(500 * MB, 499 * MB, 0.001, 61.0)
    assert not freed.may_be_worth_it(499 * MB, 700, 62.0)
    assert freed.may_be_worth_it(499 * MB, 500, 63.0)


@pytest.mark.parametrize(("connections", "left"), [(63, 0), (64, 48)])
def test_a_few_connections_are_no_crowd(connections: int, left: int) -> None:
    freed = FreedMemory(100 * MB)
    tries(freed, 500 * MB, 60, connections=connections)
    assert not freed.may_be_worth_it(500 * MB, left, 61.0)


def test_loop_stands_still_for_half_a_percent_of_the_time() -> None:
    freed = FreedMemory(100 * MB)
    freed.returned(600 * MB, 200 * MB, 0.100, 10.0)
    assert not freed.may_be_worth_it(200 * MB, 0, 29.9)
    assert freed.may_be_worth_it(200 * MB, 0, 30.0)
