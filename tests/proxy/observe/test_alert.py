"""The message about an alert: what programs read of it stays as it is."""

from datetime import timedelta

import pytest

from proxy.observe.alert import AlertState, Concern, Notice, OpenAlert, span, utc
from proxy.observe.alert_kinds import KINDS, AlertKind, AlertUrgency

CONCERN = Concern(AlertKind.UPSTREAM_DOWN, "chat", AlertUrgency.CRITICAL, "upstream chat has no server")
NOON = 1_780_315_200.0


def test_a_message_has_these_fields() -> None:
    notice = Notice(AlertState.FIRING, OpenAlert(CONCERN, NOON - 60, 2), NOON, is_repeat=True)
    assert notice.as_json("gate-1") == {
        "version": 1,
        "state": "firing",
        "key": "upstream_down/chat",
        "host": "gate-1",
        "at": "2026-06-01T12:00:00Z",
        "kind": "upstream_down",
        "subject": "chat",
        "urgency": "critical",
        "since": "2026-06-01T11:59:00Z",
        "text": "upstream chat has no server",
        "remedy": KINDS[AlertKind.UPSTREAM_DOWN].remedy,
        "times": 2,
    }
    assert (notice.key, notice.urgency) == (CONCERN.key, AlertUrgency.CRITICAL)


def test_a_concern_is_read_as_it_was_written() -> None:
    assert Concern.from_json(CONCERN.as_json()) == CONCERN
    with pytest.raises(ValueError, match="unheard of"):
        Concern.from_json({**CONCERN.as_json(), "kind": "unheard of"})


def test_a_long_text_is_cut() -> None:
    long = Concern(AlertKind.RELOAD_REFUSED, "configuration", AlertUrgency.SERIOUS, "x" * 1_001)
    text = OpenAlert(long, NOON, 1).as_json()["text"]
    assert (len(text), text.endswith("x ...")) == (1_004, True)


def test_two_concerns_of_one_kind_and_subject_are_one_alert() -> None:
    other = Concern(AlertKind.UPSTREAM_DOWN, "chat", AlertUrgency.WARNING, "another text")
    assert CONCERN.key == other.key
    assert CONCERN.key != Concern(AlertKind.UPSTREAM_DOWN, "files", AlertUrgency.CRITICAL, "").key


def test_times_are_in_utc_to_the_second() -> None:
    assert utc(NOON + 0.9) == "2026-06-01T12:00:00Z"


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(minutes=3), "3 min"),
        (timedelta(hours=5), "5 h"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_times_in_sentences_are_short(time: timedelta, text: str) -> None:
    assert span(time.total_seconds()) == text
