"""When a slot has its next worker, and what the log says of a failure."""

from typing import Any

import pytest

from proxy.observe.events.event import Event
from proxy.processes.messages.refusals import OtherVersion, QuestionFailed, QuestionRefused
from proxy.supervisor.workers.restarts import Restarts
from proxy.supervisor.workers.timeouts import WorkerTimeouts

OTHER = QuestionRefused(OtherVersion("2-b", "1-a"))
FAULT = OSError(11, "Resource temporarily unavailable")
PATIENCE = WorkerTimeouts(healthy=60.0, back_off=(0.0, 1.0, 2.0, 4.0), other_version=30.0)


class Told(list[dict[str, Any]]):
    """The events of a log."""

    def tell(self, event: Event) -> None:
        self.append(event.as_json())


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def restarts(told: Told) -> Restarts:
    return Restarts(PATIENCE, told.tell)


def test_first_worker_of_a_slot_is_started_at_once(restarts: Restarts) -> None:
    assert restarts.pause(0) == 0.0


def test_failures_in_a_row_make_the_pause_longer(restarts: Restarts, told: Told) -> None:
    restarts.ended(0, 5.0)
    assert restarts.pause(0) == 0.0
    for pause in (1.0, 2.0, 4.0, 4.0):
        restarts.failed(0, FAULT)
        assert restarts.pause(0) == pause
    assert restarts.pause(1) == 0.0
    assert [one["detail"] for one in told] == ["[Errno 11] Resource temporarily unavailable"] * 4


def test_worker_that_ends_soon_counts_as_a_failure_and_one_that_lived_does_not(restarts: Restarts) -> None:
    for pause in (0.0, 1.0, 2.0):
        restarts.ended(0, 59.0)
        assert restarts.pause(0) == pause
    restarts.ended(0, 60.0)
    assert restarts.pause(0) == 0.0


def test_one_that_was_late_is_told_in_words(restarts: Restarts, told: Told) -> None:
    restarts.failed(0, TimeoutError())
    assert told[0]["detail"] == "it was not ready in time (reload_timeout)"


class TestOtherVersion:
    def test_is_told_once_for_all_slots_and_counts_as_no_failure(self, restarts: Restarts, told: Told) -> None:
        for _ in range(5):
            for slot in (0, 1):
                restarts.failed(slot, OTHER)
                assert restarts.pause(slot) == 30.0
        assert told == [{"event": "worker_failed", "slot": 0, "detail": str(OTHER)}]
        restarts.joined(0)
        assert (restarts.pause(0), restarts.pause(1)) == (0.0, 30.0)

    def test_is_told_again_after_the_files_were_as_before(self, restarts: Restarts, told: Told) -> None:
        restarts.failed(0, OTHER)
        restarts.joined(0)
        restarts.failed(0, OTHER)
        assert len(told) == 2

    def test_other_failure_counts_as_always(self, restarts: Restarts, told: Told) -> None:
        restarts.failed(0, OTHER)
        restarts.failed(0, FAULT)
        restarts.failed(0, QuestionRefused(QuestionFailed("no")))
        assert restarts.pause(0) == 2.0
        assert len(told) == 3

    def test_worker_that_an_operator_replaces_is_told_each_time(self, restarts: Restarts, told: Told) -> None:
        restarts.report(0, OTHER)
        restarts.report(0, OTHER)
        assert len(told) == 2
        assert restarts.pause(0) == 0.0
