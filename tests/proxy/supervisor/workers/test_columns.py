"""Columns of the shared counts: each is of one living worker, and empty when the next one gets it."""

import os
from collections.abc import Hashable, Iterator

import pytest

from proxy.limits.shared import CONNECTION, SharedTable
from proxy.supervisor.workers.columns import Columns

ALL = range(16)


@pytest.fixture
def columns() -> Iterator[Columns]:
    made = Columns(2)
    yield made
    made.close()


def worker() -> Hashable:
    """One that is only told apart from others."""
    return object()


def joined(columns: Columns, worker: Hashable) -> SharedTable:
    """The table as a worker with a column of its own sees it."""
    column = columns.take(worker)
    assert column is not None
    return SharedTable(columns.descriptor, column)


def test_each_worker_has_its_own(columns: Columns) -> None:
    assert [columns.take(worker()) for _ in ALL] == list(ALL)


def test_who_comes_when_all_are_taken_has_none_until_one_is_given_back(columns: Columns) -> None:
    workers = [worker() for _ in ALL]
    for one in workers:
        columns.take(one)
    left_out = worker()
    assert columns.take(left_out) is None
    columns.give_back(left_out)
    assert columns.take(worker()) is None, "it had none to give back"
    columns.give_back(workers[5])
    assert columns.take(worker()) == 5


def test_what_a_dead_worker_had_is_not_counted_any_more_and_what_others_have_is(columns: Columns) -> None:
    dead, living = worker(), worker()
    onlooker = SharedTable(columns.descriptor, ALL[-1])
    place = onlooker.total_place(b"public")
    for one, connections in ((dead, 3), (living, 2)):
        joined(columns, one).add(place, connections * CONNECTION)
    assert onlooker.others(place) == (5, 0)
    columns.give_back(dead)
    assert onlooker.others(place) == (2, 0)


def test_giving_back_twice_takes_nothing_from_who_has_it_now(columns: Columns) -> None:
    dead, heir = worker(), worker()
    columns.take(dead)
    columns.give_back(dead)
    onlooker = SharedTable(columns.descriptor, ALL[-1])
    place = onlooker.total_place(b"public")
    joined(columns, heir).add(place, CONNECTION)
    columns.give_back(dead)
    assert onlooker.others(place) == (1, 0)
    assert columns.take(worker()) == 1


def test_nothing_is_open_after_the_end() -> None:
    columns = Columns(2)
    descriptor = columns.descriptor
    columns.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
