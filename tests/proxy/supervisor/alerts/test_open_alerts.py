"""One alert for each fault: raised, repeated, resolved; and carried over a restart."""

import json

import pytest

from proxy.observe.alert import AlertState, Concern, Notice
from proxy.observe.alert_kinds import KINDS, AlertKind, AlertUrgency
from proxy.supervisor.alerts.open_alerts import AlertPatience, Moment, OpenAlerts

HOUR = 3_600.0
PATIENCE = AlertPatience(
    {AlertUrgency.CRITICAL: HOUR, AlertUrgency.SERIOUS: 6 * HOUR, AlertUrgency.WARNING: 24 * HOUR}, 30.0
)
NOON = 1_780_315_200.0


def concern(
    kind: AlertKind = AlertKind.UPSTREAM_DOWN,
    subject: str = "chat",
    urgency: str = "critical",
    text: str = "it is down",
) -> Concern:
    return Concern(kind, subject, AlertUrgency(urgency), text)


class Looks:
    """A table that is asked at given seconds after noon."""

    def __init__(self) -> None:
        self.table = OpenAlerts()

    def at(self, seconds: float, *concerns: Concern) -> list[Notice]:
        """Look."""
        return self.table.settle(concerns, Moment(NOON + seconds, seconds), PATIENCE)

    def told(self, seconds: float, *concerns: Concern) -> list[tuple[str, str, bool]]:
        """Look: state, subject, and whether it is a repeat."""
        return [(str(one.state), one.key[1], one.is_repeat) for one in self.at(seconds, *concerns)]


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_a_fault_is_told_once_while_it_lasts(looks: Looks) -> None:
    assert looks.told(0, concern()) == [("firing", "chat", False)]
    assert looks.told(10, concern()) == looks.told(HOUR - 1, concern()) == []


@pytest.mark.parametrize(("urgency", "seconds"), PATIENCE.repeat_seconds.items())
def test_it_is_repeated_by_its_urgency(looks: Looks, urgency: AlertUrgency, seconds: float) -> None:
    one = concern(urgency=urgency)
    looks.at(0, one)
    assert looks.told(seconds - 1, one) == []
    assert looks.told(seconds, one) == [("firing", "chat", True)]
    assert looks.told(seconds + 1, one) == []
    (open_alert,) = looks.table.told
    assert (open_alert.times, open_alert.since) == (2, NOON)


def test_what_becomes_more_urgent_is_told_at_once_and_what_becomes_less_is_not(looks: Looks) -> None:
    looks.at(0, concern(urgency="warning"))
    assert looks.told(1, concern(urgency="serious")) == [("firing", "chat", False)]
    assert looks.told(2, concern(urgency="warning")) == []
    assert looks.told(3, concern(urgency="serious")) == [], "it was told as that"
    assert looks.told(4, concern(urgency="critical")) == [("firing", "chat", False)]
    (open_alert,) = looks.table.told
    assert open_alert.times == 3


def test_another_text_is_shown_but_not_told(looks: Looks) -> None:
    looks.at(0, concern())
    assert looks.told(1, concern(text="two are down")) == []
    (open_alert,) = looks.table.told
    assert open_alert.concern.text == "two are down"


def test_it_is_resolved_when_it_is_gone_for_long_enough(looks: Looks) -> None:
    looks.at(0, concern())
    looks.at(10, concern())
    assert looks.told(39) == []
    assert looks.table.look_within == 1.0
    (resolved,) = looks.at(40)
    assert (resolved.state, resolved.alert.since, resolved.at) == (AlertState.RESOLVED, NOON, NOON + 40)
    assert looks.table.told == []
    assert looks.table.look_within == float("inf")


@pytest.mark.parametrize("is_taken_up", [False, True])
def test_how_long_it_lasted_does_not_depend_on_a_clock_that_was_set_back(looks: Looks, *, is_taken_up: bool) -> None:
    looks.at(0, concern())
    if is_taken_up:
        kept, looks = looks.table.kept(), Looks()
        looks.table.take_up(kept, Moment(NOON - HOUR, 0))
    looks.table.settle([concern()], Moment(NOON - HOUR, 150), PATIENCE)
    (resolved,) = looks.table.settle([], Moment(NOON - HOUR, 200), PATIENCE)
    assert (resolved.state, resolved.lasted) == (AlertState.RESOLVED, 200)


def test_what_comes_and_goes_is_one_alert(looks: Looks) -> None:
    looks.at(0, concern())
    for second in range(1, 100, 2):
        assert looks.told(second) == []
        assert looks.told(second + 1, concern()) == []


def test_after_it_was_resolved_it_is_another_alert(looks: Looks) -> None:
    looks.at(0, concern())
    looks.at(30)
    assert looks.told(60, concern()) == [("firing", "chat", False)]
    assert looks.table.told[0].since == NOON + 60


@pytest.mark.parametrize("kind", [AlertKind.WORKER_AWAY, AlertKind.SERVER_DOWN])
def test_some_have_to_last_before_they_are_told(looks: Looks, kind: AlertKind) -> None:
    worker = concern(kind, "1", "serious")
    after = KINDS[kind].after_seconds
    assert looks.told(0, worker) == []
    assert (looks.table.told, looks.table.look_within) == ([], after)
    assert looks.told(1) == [], "a restart has repaired it, and nothing is to be resolved"
    assert looks.told(2, worker) == looks.told(1 + after, worker) == []
    assert looks.told(2 + after, worker) == [("firing", "1", False)]


def test_of_two_with_the_same_key_the_more_urgent_counts(looks: Looks) -> None:
    for pair in (
        (concern(urgency="warning"), concern(text="worse")),
        (concern(text="worse"), concern(urgency="warning")),
    ):
        table = Looks()
        (told,) = table.at(0, *pair)
        assert told.alert.concern.text == "worse"
    assert len(looks.at(0, concern(), concern(subject="files"))) == 2


def test_open_alerts_are_listed_by_urgency_and_age(looks: Looks) -> None:
    looks.at(0, concern(subject="b", urgency="warning"))
    looks.at(1, concern(subject="b", urgency="warning"), concern(subject="c"))
    looks.at(2, concern(subject="b", urgency="warning"), concern(subject="c"), concern(subject="a"))
    assert [one.concern.subject for one in looks.table.told] == ["c", "a", "b"]
    assert [one.alert.concern.subject for one in looks.table.again(Moment(NOON, 3))] == ["c", "a", "b"]


class TestRestart:
    """What one process kept, and the next takes up."""

    def taken_up(self, looks: Looks) -> Looks:
        document = json.loads(json.dumps(looks.table.kept()))
        later = Looks()
        later.table.take_up(document, Moment(NOON + 100, 5.0))
        return later

    def test_what_still_holds_is_told_once_more(self, looks: Looks) -> None:
        looks.at(0, concern())
        later = self.taken_up(looks)
        (again,) = later.at(6, concern())
        assert (again.alert.times, again.alert.since, again.is_repeat) == (2, NOON, False)
        assert later.told(7, concern()) == []

    def test_what_is_over_is_resolved_when_the_process_has_had_time_to_find_it(self, looks: Looks) -> None:
        looks.at(0, concern())
        later = self.taken_up(looks)
        assert later.told(6) == later.told(154) == []
        assert later.told(155) == [("resolved", "chat", False)]

    def test_what_was_not_told_is_not_kept(self, looks: Looks) -> None:
        looks.at(0, concern(AlertKind.WORKER_AWAY, "1"))
        assert looks.table.kept() == []

    @pytest.mark.parametrize(
        "wrong", [{}, {"kind": "unheard_of"}, {"urgency": "mild"}, {"since": "noon"}, {"times": None}, {"since": []}]
    )
    def test_what_another_version_wrote_is_left_out(self, looks: Looks, wrong: dict[str, object]) -> None:
        looks.at(0, concern())
        (kept,) = looks.table.kept()
        later = Looks()
        later.table.take_up([{**kept, **wrong} if wrong else {}], Moment(NOON, 0.0))
        assert later.table.told == []


class TestUpgrade:
    """What one process hands over, and the next continues with: no wait starts again."""

    def taken_over(self, looks: Looks, seconds: float) -> Looks:
        document = json.loads(json.dumps(looks.table.handed(seconds)))
        later = Looks()
        later.table.take_over(document, seconds)
        return later

    def test_what_was_told_is_not_told_again_and_is_resolved_in_time(self, looks: Looks) -> None:
        looks.at(0, concern())
        later = self.taken_over(looks, 7.0)
        assert later.table.told == looks.table.told
        assert later.told(8) == later.told(29) == []
        (resolved,) = later.at(30)
        assert (resolved.state, resolved.lasted, resolved.alert.since) == (AlertState.RESOLVED, 30.0, NOON)

    def test_what_has_not_lasted_long_enough_has_waited_already(self, looks: Looks) -> None:
        one = concern(AlertKind.WORKER_AWAY, "1")
        looks.at(0, one)
        later = self.taken_over(looks, 7.0)
        after = KINDS[AlertKind.WORKER_AWAY].after_seconds
        (waiting,) = later.table.waiting(7.0)
        assert (waiting["subject"], waiting["alert_in_seconds"]) == ("1", after - 7.0)
        assert later.told(after - 0.1, one) == []
        assert later.told(after, one) == [("firing", "1", False)]
        assert later.table.waiting(after) == []

    def test_what_a_restart_brought_is_still_told_once_more(self, looks: Looks) -> None:
        looks.at(0, concern())
        restarted = Looks()
        restarted.table.take_up(looks.table.kept(), Moment(NOON, 0.0))
        assert self.taken_over(restarted, 1.0).told(2, concern()) == [("firing", "chat", False)]


def test_an_alert_that_the_latest_look_has_not_found_is_over(looks: Looks) -> None:
    looks.at(0, concern())
    assert [one.as_json()["over"] for one in looks.table.told] == [False]
    looks.at(10)
    assert [one.as_json()["over"] for one in looks.table.told] == [True]
    looks.at(20, concern())
    assert [one.as_json()["over"] for one in looks.table.told] == [False]
