"""Events that are a concern, and the events that end them."""

import json

import pytest

from config.values.problems import Problem
from proxy.observe.alert import Concern
from proxy.observe.events.audit import AuditLogFailed, AuditLogWrittenAgain
from proxy.observe.events.certificates import RotationMemoryLost
from proxy.observe.events.event import Event
from proxy.observe.events.payload import PayloadKeyRotated, PayloadRotationFailed
from proxy.observe.events.process import UnexpectedError
from proxy.observe.events.reloads import Reloaded, ReloadFailed
from proxy.observe.events.secrets import TicketRotationFailed, TicketsNotKept, TicketsRotated
from proxy.observe.events.workers import WorkerEnded, WorkerFailed, WorkerJoined
from proxy.supervisor.alerts.incidents import RESTARTS_SECONDS, Incidents

REFUSED = ReloadFailed([Problem("f.toml", "mistake", "an unknown key", "another one")])
HOUR = 3_600.0


def found(incidents: Incidents, ticks: float) -> list[tuple[str, str]]:
    return [(str(one.kind), one.subject) for one in incidents.concerns(ticks)]


@pytest.mark.parametrize(
    ("fault", "over", "expected"),
    [
        (REFUSED, Reloaded(2, []), ("reload_refused", "configuration")),
        (AuditLogFailed("No space left"), AuditLogWrittenAgain(0), ("audit_not_written", "audit")),
        (TicketRotationFailed("x"), TicketsRotated(), ("secrets_not_rotated", "session tickets")),
        (
            PayloadRotationFailed("chat", "x"),
            PayloadKeyRotated("chat", 2),
            ("secrets_not_rotated", "payload ring chat"),
        ),
    ],
)
def test_a_fault_holds_until_it_is_over(fault: Event, over: Event, expected: tuple[str, str]) -> None:
    incidents = Incidents()
    incidents.hear(over, 0)
    assert found(incidents, 0) == []
    incidents.hear(fault, 1)
    incidents.hear(fault, 2)
    assert found(incidents, HOUR) == [expected]
    (concern,) = incidents.concerns(3)
    assert concern.text == fault.sentence()
    incidents.hear(over, 4)
    assert found(incidents, 4) == []


def test_a_reload_that_was_refused_does_not_hold_for_an_hour_only() -> None:
    incidents = Incidents()
    incidents.hear(REFUSED, 0)
    assert found(incidents, 1_000 * HOUR) == [("reload_refused", "configuration")]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (TicketsNotKept("x"), ("secrets_not_rotated", "stored session tickets")),
        (RotationMemoryLost("x"), ("state_not_writable", "rotation.json")),
        (UnexpectedError("KeyError", "x"), ("unexpected_error", "parent")),
        (PayloadRotationFailed("gone", "x"), ("secrets_not_rotated", "payload ring gone")),
    ],
)
def test_what_nothing_ends_holds_for_an_hour(fault: Event, expected: tuple[str, str]) -> None:
    incidents = Incidents()
    incidents.hear(fault, 0)
    assert found(incidents, HOUR - 1) == [expected]
    assert found(incidents, HOUR) == []


def test_another_ring_is_another_alert() -> None:
    incidents = Incidents()
    incidents.hear(PayloadRotationFailed("chat", "x"), 0)
    incidents.hear(PayloadRotationFailed("files", "x"), 0)
    incidents.hear(PayloadKeyRotated("chat", 2), 1)
    assert found(incidents, 1) == [("secrets_not_rotated", "payload ring files")]


def test_three_workers_that_end_within_ten_minutes_are_a_concern() -> None:
    incidents = Incidents()
    incidents.hear(WorkerEnded(0, 10, -11), 0)
    incidents.hear(WorkerJoined(0, 11), 1)
    incidents.hear(WorkerEnded(0, 11, -11), 100)
    assert found(incidents, 100) == []
    incidents.hear(WorkerFailed(0, "it was not ready in time"), 200)
    (concern,) = incidents.concerns(200)
    assert isinstance(concern, Concern)
    assert (str(concern.kind), concern.subject) == ("workers_restart", "workers")
    assert concern.text == (
        "3 workers ended or failed to start within 10 minutes, "
        "the last one: worker 0 could not be started: it was not ready in time"
    )
    assert found(incidents, RESTARTS_SECONDS - 1) == [("workers_restart", "workers")]
    assert found(incidents, RESTARTS_SECONDS) == []


def test_the_next_process_of_an_upgrade_goes_on_with_them() -> None:
    incidents, later = Incidents(), Incidents()
    incidents.hear(REFUSED, 1)
    incidents.hear(TicketsNotKept("x"), 1)
    incidents.hear(WorkerEnded(0, 7, 1), 1)
    later.hear(WorkerEnded(1, 8, 1), 5)
    later.take_over(json.loads(json.dumps(incidents.handed(4))), 4)
    later.hear(WorkerEnded(1, 9, 1), 6)
    expected = [("reload_refused", "configuration"), ("secrets_not_rotated", "stored session tickets")]
    assert found(later, 7) == [*expected, ("workers_restart", "workers")]
    assert found(later, HOUR + 1) == expected[:1]
