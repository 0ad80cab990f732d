"""Certificates as documents."""

from datetime import timedelta

from certs.rotation.due import Due, RenewalReason
from certs.rotation.planning import RotationStatus
from certs.rotation.urgency import Urgency
from proxy.rotation.listing import Row, document, worst
from tests.certs.authority import DAY, NOW
from tests.certs.rotation.test_due import CURRENT, WANTED
from tests.parts import part

CHAT = ("chat", "ec")


def standing(urgency: Urgency = Urgency.CALM) -> RotationStatus:
    return RotationStatus(Due(NOW + DAY, RenewalReason.LIFETIME), urgency, 2, 1.26)


def test_a_certificate_that_serves_tells_what_it_is() -> None:
    row = Row(CHAT, WANTED, CURRENT, standing(), 3, "abc", "the CA is down", is_running=True)
    found = document(row, NOW)
    algorithm, _, place = CURRENT.key.partition("@")
    assert found["key"] == {"algorithm": algorithm, "place": place}
    assert (found["identity"], found["credential"], found["issuer"]) == ("chat", "ec", CURRENT.issuer)
    assert (found["version"], found["serial"], found["last_error"], found["running"]) == (
        3,
        "abc",
        "the CA is down",
        True,
    )
    assert found["seconds_left"] == (CURRENT.not_after - NOW).total_seconds()
    assert found["next"] == {
        "at": (NOW + DAY).isoformat(),
        "due_at": (NOW + DAY).isoformat(),
        "reason": "its lifetime runs out",
        "urgency": "calm",
        "failures": 2,
        "waits_seconds": 1.3,
    }


def test_one_that_is_missing_tells_what_is_wanted() -> None:
    found = document(Row(CHAT, WANTED, None, None), NOW)
    assert (found["names"], found["issuer"]) == (list(WANTED.names), WANTED.issuer)
    assert [found["not_after"], found["seconds_left"], found["next"]] == [None] * 3


def test_what_is_overdue_is_next_as_soon_as_it_need_not_wait() -> None:
    found = document(Row(CHAT, WANTED, CURRENT, standing()), NOW + timedelta(days=3))
    assert part(found["next"])["due_at"] == (NOW + DAY).isoformat()
    assert part(found["next"])["at"] == (NOW + timedelta(days=3, seconds=1.26)).isoformat()


def test_what_waits_is_next_when_it_is_tried() -> None:
    waits = RotationStatus(Due(NOW - DAY, RenewalReason.LIFETIME), Urgency.LATE, 2, 1_800.0)
    found = document(Row(CHAT, WANTED, CURRENT, waits), NOW)
    assert part(found["next"])["at"] == (NOW + timedelta(minutes=30)).isoformat()


def test_the_worst_of_all_is_told_in_a_word() -> None:
    assert worst({}) == "calm"
    assert worst({CHAT: standing(), ("files", "ec"): standing(Urgency.GRAVE)}) == "grave"
