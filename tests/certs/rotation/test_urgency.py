"""How bad it is."""

import pytest

from certs.rotation.due import Due, RenewalReason
from certs.rotation.urgency import Urgency, urgency
from tests.certs.authority import DAY, NOW
from tests.certs.rotation.test_due import CURRENT

DUE = Due(NOW + 6 * DAY, RenewalReason.LIFETIME)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0.0, Urgency.CALM),
        (5.9, Urgency.CALM),
        (6.0, Urgency.DUE),
        (6.9, Urgency.DUE),
        (7.1, Urgency.LATE),
        (8.1, Urgency.GRAVE),
        (9.0, Urgency.EXPIRED),
    ],
)
def test_it_rises_with_the_time_that_is_gone(days: float, expected: Urgency) -> None:
    assert urgency(CURRENT, DUE, NOW + days * DAY) is expected


def test_nothing_to_serve_by_is_the_worst() -> None:
    assert urgency(None, DUE, NOW) is Urgency.EXPIRED


def test_what_is_due_at_its_very_end_is_grave() -> None:
    assert urgency(CURRENT, Due(CURRENT.not_after, RenewalReason.WINDOW), CURRENT.not_after - DAY) is Urgency.CALM
    early = Due(CURRENT.not_after - DAY / 1_000, RenewalReason.WINDOW)
    assert urgency(CURRENT, early, CURRENT.not_after - DAY / 10_000) is Urgency.GRAVE


def test_only_what_somebody_should_look_at_alarms() -> None:
    assert [one for one in Urgency if one.alerts] == [Urgency.LATE, Urgency.GRAVE, Urgency.EXPIRED]
