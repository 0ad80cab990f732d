"""Counts and rates over several processes: nothing is counted too low, and too high only by a little."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.limits.rates import Rate
from proxy.limits.shared import CONNECTION, HANDSHAKE, MOST_COLUMNS, SharedTable

NOW = 1_000.0


@pytest.fixture
def table() -> Iterator[SharedTable]:
    made = SharedTable.create(4)
    yield made
    os.close(made.fd)


class TestCounts:
    def test_others_are_seen_and_oneself_is_not(self, table: SharedTable) -> None:
        one, two, three = (SharedTable(table.fd, slot) for slot in (1, 2, 3))
        place, _ = table.places(b"192.0.2.7")
        one.add(place, CONNECTION + HANDSHAKE)
        two.add(place, 2 * CONNECTION + HANDSHAKE)
        assert [each.others(place) for each in (one, two, three)] == [(2, 1), (1, 1), (3, 2)]
        two.add(place, -HANDSHAKE)
        two.add(place, -CONNECTION)
        assert [each.others(place) for each in (one, two, three)] == [(1, 0), (1, 1), (2, 1)]

    def test_places_stay_when_they_are_kept_no_more(self, table: SharedTable) -> None:
        before = table.places(b"key")
        for number in range(2_000):
            table.places(b"%d" % number)
        assert table.places(b"key") == before
        assert len(table._places) <= 1_024

    def test_all_find_a_key_at_the_same_place_and_no_other_start_does(self, table: SharedTable) -> None:
        other = SharedTable(table.fd, 1)
        assert other.places(b"key") == table.places(b"key")
        assert other.total_place(b"public") == table.total_place(b"public")
        fresh = SharedTable.create(4)
        os.close(fresh.fd)
        assert fresh.places(b"key") != table.places(b"key")

    def test_a_stranger_has_to_share_both_buckets(self, table: SharedTable) -> None:
        other = SharedTable(table.fd, 1)
        place, _ = table.places(b"key")
        crowded = (place[0], (place[1] + 4) % table._columns)
        other.add(crowded, 5 * CONNECTION)
        assert table.others(place) == (0, 0)
        other.add(place, CONNECTION)
        assert table.others(place) == (1, 0)

    @pytest.mark.parametrize("crowded", [0, 1])
    def test_what_one_has_oneself_is_not_counted_in_either_bucket(self, table: SharedTable, crowded: int) -> None:
        other = SharedTable(table.fd, 1)
        place, _ = table.places(b"key")
        table.add(place, 5 * CONNECTION)
        other._cells[place[crowded] + 1] = 9 * CONNECTION
        assert table.others(place) == (0, 0)

    def test_the_smaller_of_each_count_is_taken(self, table: SharedTable) -> None:
        """Strangers in one bucket with many connections, in the other with many handshakes."""
        other = SharedTable(table.fd, 1)
        (first, second), _ = table.places(b"key")
        other._cells[first + 1] = 7 * CONNECTION + 2
        other._cells[second + 1] = 3 * CONNECTION + 9
        assert table.others((first, second)) == (3, 2)

    def test_a_column_that_is_forgotten_is_empty_and_the_others_are_not(self, table: SharedTable) -> None:
        one, two = SharedTable(table.fd, 1), SharedTable(table.fd, 2)
        places = [table.places(b"%d" % number)[0] for number in range(500)] + [table.total_place(b"public")]
        for place in places:
            one.add(place, CONNECTION)
            two.add(place, CONNECTION + HANDSHAKE)
        table.forget_slot(2)
        next_two = SharedTable(table.fd, 2)
        assert {next_two.others(place)[1] for place in places} == {0}
        assert min(next_two.others(place)[0] for place in places) == 1
        assert max(one.others(place) for place in places) == (0, 0)

    def test_a_process_that_shares_with_nobody_is_exact(self) -> None:
        private = SharedTable.private()
        for number in range(10_000):
            private.add(private.places(b"%d" % number)[0], CONNECTION)
        assert {private.others(private.places(b"%d" % number)[0]) for number in range(100)} == {(0, 0)}

    def test_what_is_too_high_is_about_a_bucket_of_strangers(self, table: SharedTable) -> None:
        other = SharedTable(table.fd, 1)
        for number in range(20_000):
            other.add(table.places(b"stranger%d" % number)[0], CONNECTION)
        seen = [table.others(table.places(b"key%d" % number)[0])[0] for number in range(1_000)]
        assert sum(seen) / len(seen) < 5
        assert max(seen) < 20

    def test_totals_of_listeners_are_apart_from_each_other_and_from_clients(self, table: SharedTable) -> None:
        other = SharedTable(table.fd, 1)
        other.add(table.total_place(b"public"), 100 * CONNECTION)
        assert table.others(table.total_place(b"public")) == (100, 0)
        assert table.others(table.total_place(b"internal")) == (0, 0)
        assert max(table.others(table.places(b"%d" % number)[0]) for number in range(5_000)) == (0, 0)

    @pytest.mark.parametrize("columns", [1, 2, 8, 16, 17, 32, MOST_COLUMNS])
    def test_memory_is_small_and_all_of_it_is_used(self, columns: int) -> None:
        made = SharedTable.create(columns)
        assert os.fstat(made.fd).st_size <= 3 * 1_048_576  # one of them for replays, untouched without them
        last = SharedTable(made.fd, columns - 1)
        places = [last.places(b"%d" % number)[0] for number in range(200_000)]
        largest = max(second for _, second in places)
        assert largest == max(last._columns * (2 * last._buckets - 1), 0)
        assert min(first for first, _ in places) == 0
        last.add((0, largest), CONNECTION)
        last.take((0, 2 * 32_768 - 1), Rate.of(1, 1), NOW)
        os.close(made.fd)

    @pytest.mark.parametrize("columns", [0, MOST_COLUMNS + 1])
    def test_there_are_neither_none_nor_too_many(self, columns: int) -> None:
        with pytest.raises(ValueError, match="columns"):
            SharedTable.create(columns)

    @pytest.mark.parametrize("slot", [-1, 4])
    def test_a_slot_is_one_of_the_columns(self, table: SharedTable, slot: int) -> None:
        with pytest.raises(ValueError, match="slot"):
            SharedTable(table.fd, slot)

    def test_nobody_can_make_it_shorter_under_the_others(self, table: SharedTable) -> None:
        with pytest.raises(PermissionError):
            os.truncate(table.fd, 0)


class TestRates:
    def test_a_token_that_one_takes_is_gone_for_all(self, table: SharedTable) -> None:
        other = SharedTable(table.fd, 1)
        _, place = table.places(b"key")
        rate = Rate.of(0.5, 2)
        assert table.take(place, rate, NOW) == 0.0
        assert other.take(place, rate, NOW) == 0.0
        assert table.take(place, rate, NOW) == other.take(place, rate, NOW) == pytest.approx(2.0)
        assert other.take(place, rate, NOW + 2.0) == 0.0
        assert table.take(place, rate, NOW + 2.0) > 0.0

    def test_a_stranger_has_to_empty_both_buckets(self, table: SharedTable) -> None:
        rate = Rate.of(1.0, 1)
        (first, second), third = (7, 32_768 + 7), 32_768 + 8
        assert table.take((first, third), rate, NOW) == 0.0
        assert table.take((first, second), rate, NOW) == 0.0
        assert table.take((first, second), rate, NOW) > 0.0

    @pytest.mark.parametrize("quick_place", [(7, 32_776), (8, 32_775)])
    def test_what_a_stranger_took_is_not_given_back(self, table: SharedTable, quick_place: tuple[int, int]) -> None:
        slow, quick = Rate.of(0.01, 1), Rate.of(100.0, 1)
        table.take((7, 32_775), slow, NOW)
        assert table.take(quick_place, quick, NOW) == 0.0
        assert table.take((7, 32_775), slow, NOW + 1) > 90

    def test_many_clients_seldom_take_from_each_other(self, table: SharedTable) -> None:
        rate = Rate.of(1.0, 1)
        refused = sum(table.take(table.places(b"%d" % number)[1], rate, NOW) > 0 for number in range(3_000))
        assert refused <= 30


WORKER = """
import random, sys, time
from proxy.limits.rates import Rate
from proxy.limits.shared import CONNECTION, HANDSHAKE, SharedTable
table = SharedTable(int(sys.argv[1]), int(sys.argv[2]))
{work}
print("done", flush=True)
sys.stdin.read()
"""


@contextmanager
def workers(table: SharedTable, work: str, count: int = 2) -> Iterator["list[subprocess.Popen[str]]"]:
    """Processes that have done some work at the same time, and still live."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER.format(work=work), str(table.fd), str(slot)],
            pass_fds=[table.fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for slot in range(1, count + 1)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.communicate(timeout=30)


def output(processes: "list[subprocess.Popen[str]]") -> list[str]:
    """The line before the last of each."""
    lines = []
    for process in processes:
        assert process.stdout is not None
        lines.append(process.stdout.readline().strip())
    return lines


class TestProcesses:
    def test_no_count_is_lost_however_they_write_at_the_same_time(self, table: SharedTable) -> None:
        """A hundred thousand times each, in and out by chance: what is left is what the sums say."""
        work = """
chance, left = random.Random(int(sys.argv[2])), 0
place = table.places(b"key")[0]
for _ in range(100_000):
    step = 1 if chance.random() < 0.5 or not left else -1
    left += step
    table.add(place, step * (CONNECTION + HANDSHAKE))
print(left)"""
        with workers(table, work) as processes:
            left = sum(map(int, output(processes)))
            assert table.others(table.places(b"key")[0]) == (left, left)
            assert left == sum(walk(seed) for seed in (1, 2))

    def test_a_limit_is_exceeded_by_less_than_the_number_of_processes(self, table: SharedTable) -> None:
        """All of them admit as a listener does, until there are 1,000."""
        work = """
place, own = table.total_place(b"public"), 0
for _ in range(2_000):
    if own + table.others(place)[0] < 1_000:
        own += 1
        table.add(place, CONNECTION)
print(own)"""
        with workers(table, work, 3) as processes:
            admitted = sum(map(int, output(processes)))
            assert 1_000 <= admitted < 1_000 + 3
            assert table.others(table.total_place(b"public")) == (admitted, 0)

    def test_a_rate_holds_for_all_together(self, table: SharedTable) -> None:
        """A burst of 1,000 between the work that goes with each: only what the other one took at the very same moment is too many.

        A moment is as long as the system lets a process wait in it, so each counts what the other one does meanwhile.
        """
        work = """
(attempts, place), rate = table.places(b"key"), Rate.of(0.001, 1_000)
taken = meanwhile = 0
for _ in range(10_000):
    sum(range(random.randrange(1_000)))  # a request or a handshake takes longer than this
    table.add(attempts, HANDSHAKE)  # begun
    ended, _ = table.others(attempts)
    if table.take(place, rate, 5_000.0) == 0.0:
        _, begun = table.others(attempts)
        taken += 1
        meanwhile += begun - ended
    table.add(attempts, CONNECTION)  # ended
print(taken, meanwhile)"""
        with workers(table, work) as processes:
            counted = [[int(number) for number in line.split()] for line in output(processes)]
        assert 1_000 <= sum(taken for taken, _ in counted) <= 1_000 + min(meanwhile for _, meanwhile in counted)

    def test_what_a_dead_one_had_is_forgotten(self, table: SharedTable) -> None:
        with workers(table, 'table.add(table.total_place(b"public"), 5 * CONNECTION)\nprint()') as processes:
            output(processes)
            assert table.others(table.total_place(b"public")) == (10, 0)
            processes[0].kill()
            processes[0].wait(30)
            table.forget_slot(1)
            assert table.others(table.total_place(b"public")) == (5, 0)


def walk(seed: int) -> int:
    """What the steps of a process come to."""
    chance, left = random.Random(seed), 0  # noqa: S311 - steps of a walk
    for _ in range(100_000):
        left += 1 if chance.random() < 0.5 or not left else -1
    return left
