"""What waits for a receiver: the latest of each alert, the most urgent first."""

import pytest

from proxy.observe.alert import AlertState, Concern, Notice, OpenAlert
from proxy.observe.alert_kinds import AlertKind, AlertUrgency
from proxy.supervisor.alerts.unsent import UnsentNotices


def notice(subject: str, urgency: str = "serious", state: AlertState = AlertState.FIRING) -> Notice:
    concern = Concern(AlertKind.SERVER_DOWN, subject, AlertUrgency(urgency), "down")
    return Notice(state, OpenAlert(concern, 0.0, 1), 0.0)


def order(unsent: UnsentNotices) -> list[str]:
    """Send all."""
    found = []
    while unsent:
        first = unsent.first()
        found.append(first.key[1])
        unsent.sent(first)
    return found


def test_the_most_urgent_goes_first_and_of_those_the_oldest() -> None:
    unsent = UnsentNotices()
    for subject, urgency in (("a", "warning"), ("b", "serious"), ("c", "critical"), ("d", "critical")):
        unsent.put(notice(subject, urgency))
    assert len(unsent) == 4
    assert order(unsent) == ["c", "d", "b", "a"]


def test_a_newer_message_about_an_alert_replaces_the_older_one() -> None:
    unsent = UnsentNotices()
    unsent.put(notice("a"))
    unsent.put(notice("b"))
    resolved = notice("a", state=AlertState.RESOLVED)
    unsent.put(resolved)
    assert order(unsent) == ["b", "a"]
    unsent.put(resolved)
    assert unsent.first() is resolved


def test_what_came_while_a_message_was_under_way_is_not_lost() -> None:
    unsent = UnsentNotices()
    old, new = notice("a"), notice("a", state=AlertState.RESOLVED)
    unsent.put(old)
    unsent.put(new)
    unsent.sent(old)
    assert unsent.first() is new
    unsent.sent(new)
    assert not unsent


def test_it_has_a_bound_and_drops_the_least_urgent() -> None:
    unsent = UnsentNotices()
    unsent.put(notice("first", "warning"))
    for number in range(255):
        unsent.put(notice(str(number), "serious"))
    assert unsent.dropped == 0
    unsent.put(notice("last", "critical"))
    assert (len(unsent), unsent.dropped) == (256, 1)
    sent = order(unsent)
    assert sent[0] == "last"
    assert "first" not in sent


@pytest.mark.parametrize(
    ("urgency", "pauses"),
    [("critical", [5, 15, 30, 60, 60]), ("serious", [15, 60, 300, 300]), ("warning", [60, 300, 900, 900])],
)
def test_pauses_grow_with_failures_and_are_shorter_for_the_urgent(urgency: str, pauses: list[float]) -> None:
    unsent = UnsentNotices()
    unsent.put(notice("a", "warning"))
    unsent.put(notice("b", urgency))
    assert [unsent.pause_seconds(failures) for failures in range(1, len(pauses) + 1)] == pauses
