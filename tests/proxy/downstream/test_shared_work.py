"""A computation that several wait for is done once."""

from collections.abc import Callable

from proxy.downstream.shared_work import SharedWork
from proxy.downstream.slow_work import WorkOutcome
from proxy.limits.fair_queue import NoRoom


class Jobs:
    """In the place of the thread."""

    def __init__(self) -> None:
        self.room: NoRoom | None = None
        self.outcomes: list[WorkOutcome] = []

    def begin(
        self, network: bytes, is_wanted: Callable[[], bool], compute: Callable[[], bytes], outcome: WorkOutcome
    ) -> NoRoom | None:
        """Note it, or refuse."""
        assert (network, is_wanted(), compute()) == (b"network", True, b"found")
        if self.room is None:
            self.outcomes.append(outcome)
        return self.room


Told = list[tuple[str, bytes | None, Exception | None]]


def listener(name: str, told: Told) -> WorkOutcome:
    def outcome(result: bytes | None, error: Exception | None) -> None:
        told.append((name, result, error))

    return outcome


def test_all_that_joined_get_the_one_result() -> None:
    jobs, told = Jobs(), Told()
    work = SharedWork(jobs)
    assert not work.join(b"key", listener("one", told))
    assert work.begin(b"key", b"network", lambda: b"found", listener("one", told)) is None
    assert work.join(b"key", listener("two", told))
    assert not work.join(b"other", listener("three", told))
    jobs.outcomes[0](b"found", None)
    assert told == [("one", b"found", None), ("two", b"found", None)]
    assert not work.join(b"key", listener("four", told))


def test_all_that_joined_learn_of_a_failure() -> None:
    jobs, told = Jobs(), Told()
    work, error = SharedWork(jobs), ValueError()
    work.begin(b"key", b"network", lambda: b"found", listener("one", told))
    work.join(b"key", listener("two", told))
    jobs.outcomes[0](None, error)
    assert told == [("one", None, error), ("two", None, error)]


def test_nothing_can_be_joined_that_was_not_taken() -> None:
    jobs, told = Jobs(), Told()
    jobs.room = NoRoom.FULL
    work = SharedWork(jobs)
    assert work.begin(b"key", b"network", lambda: b"found", listener("one", told)) is NoRoom.FULL
    assert not work.join(b"key", listener("two", told))
