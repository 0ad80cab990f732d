"""Deadlines are looked at together, in slices, and none of them can keep the others from passing."""

import pytest

from proxy.net.deadlines import NEVER, SWEEP_SECONDS, Deadlines
from tests.fakes import FakeLoop

SLICE = 2_000


class Watched:
    """Keeps the times at which its deadline passed; moves it to `then` when it does."""

    def __init__(self, deadline: float, then: float = NEVER) -> None:
        self.deadline = deadline
        self.then = then
        self.passed: list[float] = []

    def deadline_passed(self, now: float) -> None:
        self.passed.append(now)
        self.deadline = self.then


class Failing(Watched):
    """Something nobody expected."""

    def deadline_passed(self, now: float) -> None:
        super().deadline_passed(now)
        raise ZeroDivisionError


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def deadlines(loop: FakeLoop) -> Deadlines:
    deadlines = Deadlines(loop)
    deadlines.start()
    return deadlines


def test_deadline_passes_at_the_first_sweep_behind_it(loop: FakeLoop, deadlines: Deadlines) -> None:
    start = loop.now
    watched = Watched(start + 1.1)
    deadlines.watch(watched)
    loop.advance(1.0)
    assert watched.passed == []
    loop.advance(0.5)
    assert watched.passed == [start + 1.25]


def test_deadline_that_is_not_moved_passes_again(loop: FakeLoop, deadlines: Deadlines) -> None:
    watched = Watched(loop.now, then=loop.now)
    deadlines.watch(watched)
    loop.advance(3 * SWEEP_SECONDS)
    assert len(watched.passed) == 3


def test_never_is_never(loop: FakeLoop, deadlines: Deadlines) -> None:
    watched = Watched(NEVER)
    deadlines.watch(watched)
    loop.advance(1_000_000 * SWEEP_SECONDS / 1_000)
    assert watched.passed == []


def test_deadline_that_was_moved_in_time_does_not_pass(loop: FakeLoop, deadlines: Deadlines) -> None:
    watched = Watched(loop.now + 1)
    deadlines.watch(watched)
    loop.advance(0.9)
    watched.deadline = loop.now + 1
    loop.advance(0.9)
    assert watched.passed == []


def test_what_was_forgotten_is_not_looked_at(loop: FakeLoop, deadlines: Deadlines) -> None:
    watched = Watched(loop.now)
    deadlines.watch(watched)
    deadlines.forget(watched)
    deadlines.forget(watched)
    loop.advance(1)
    assert watched.passed == []


def test_what_another_deadline_ends_does_not_pass_any_more(loop: FakeLoop, deadlines: Deadlines) -> None:
    """Two that are due together, say a client and its upstream: the first forgets the second."""

    class Ends(Watched):
        other: "Ends"

        def deadline_passed(self, now: float) -> None:
            super().deadline_passed(now)
            deadlines.forget(self.other)

    one, two = Ends(loop.now), Ends(loop.now)
    one.other, two.other = two, one
    deadlines.watch(one)
    deadlines.watch(two)
    loop.advance(1)
    assert len(one.passed) + len(two.passed) == 1


def test_many_are_looked_at_in_slices_with_turns_between_them(loop: FakeLoop, deadlines: Deadlines) -> None:
    many = [Watched(loop.now) for _ in range(2 * SLICE + 1)]
    for watched in many:
        deadlines.watch(watched)
    looked_at = []
    for _ in range(3):
        loop.next_timer()
        looked_at.append(sum(len(watched.passed) for watched in many))
    assert looked_at == [SLICE, 2 * SLICE, 2 * SLICE + 1]


def test_one_that_fails_keeps_no_other_from_passing(loop: FakeLoop, deadlines: Deadlines) -> None:
    loop.failures = []
    for _ in range(10):
        deadlines.watch(Failing(loop.now, then=loop.now))
    others = [Watched(loop.now, then=loop.now) for _ in range(10)]
    for watched in others:
        deadlines.watch(watched)
    loop.advance(2 * SWEEP_SECONDS)
    assert [len(watched.passed) for watched in others] == [2] * 10
    assert len(loop.failures) == 20


def test_nothing_runs_before_the_start_and_after_the_stop(loop: FakeLoop) -> None:
    deadlines = Deadlines(loop)
    watched = Watched(loop.now)
    deadlines.watch(watched)
    deadlines.stop()
    loop.advance(1)
    assert watched.passed == []
    deadlines.start()
    deadlines.stop()
    deadlines.stop()
    loop.advance(1)
    assert watched.passed == []
    assert loop.timers == []
