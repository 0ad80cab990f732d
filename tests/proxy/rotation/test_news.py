"""What the log has about rotations, how often, and what of them wants a person."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from certs.issuing.issuer import FailureKind
from certs.rotation.attempt import RotationStep
from certs.rotation.due import Due, RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.planning import Key, RotationStatus
from certs.rotation.urgency import Urgency
from proxy.observe.scrape import RotationFacts
from proxy.rotation.news import News
from proxy.rotation.running import NotRenewed, Renewed
from tests.certs.authority import NOW
from tests.rotations import Owner, Rotations

CHAT: Key = ("chat", "ec")
HOUR = 3_600.0


def failure(kind: FailureKind = FailureKind.TEMPORARY) -> NotRenewed:
    return NotRenewed(RotationStep.ISSUE, kind, "no such name", of_issuer=True)


def status(urgency: Urgency) -> Mapping[Key, RotationStatus]:
    return {CHAT: RotationStatus(Due(NOW, RenewalReason.LIFETIME), urgency, 3, 0.0)}


def renewed(directory: Path) -> Renewed:
    version = Rotations(directory / "scene").serve()
    return Renewed(version.number, leaf_of(version))


class Told:
    """News of a credential whose attempts fail, and what the log has of them."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.news = News(self.owner.tell)
        self.news.failed(CHAT, failure())

    def standing(self, urgency: Urgency, hours: float) -> None:
        """Where chat is at an hour."""
        self.news.standings(status(urgency), hours * HOUR)

    @property
    def urgencies(self) -> list[str]:
        """The dangers so far."""
        return [event["urgency"] for event in self.owner.told("certificate_urgent")]

    @property
    def facts(self) -> RotationFacts:
        """How the credential is."""
        (found,) = self.news.facts(status(Urgency.LATE))
        return found


@pytest.fixture
def told() -> Told:
    return Told()


def test_what_becomes_graver_is_logged_at_once(told: Told) -> None:
    for urgency in Urgency:
        told.standing(urgency, 0)
    assert told.urgencies == ["late", "grave", "expired"]
    assert {event["detail"] for event in told.owner.told("certificate_urgent")} == {"certificate: no such name"}


def test_what_stays_as_it_is_is_logged_again(told: Told) -> None:
    for hours in (0, 1, 23.9, 24, 47, 48.5):
        told.standing(Urgency.LATE, hours)
    assert told.urgencies == ["late"] * 3
    for hours in (49, 54.9, 55, 56):
        told.standing(Urgency.GRAVE, hours)
    assert told.urgencies[3:] == ["grave"] * 2
    for hours in (57, 57.5, 58, 59):
        told.standing(Urgency.EXPIRED, hours)
    assert told.urgencies[5:] == ["expired"] * 3


def test_what_is_mended_is_forgotten(told: Told, tmp_path: Path) -> None:
    told.standing(Urgency.GRAVE, 0)
    told.news.renewed(CHAT, renewed(tmp_path))
    told.standing(Urgency.GRAVE, 0.1)
    told.news.failed(CHAT, failure())
    told.standing(Urgency.GRAVE, 0.2)
    assert told.urgencies == ["grave"] * 2


def test_first_attempts_are_no_news() -> None:
    owner = Owner()
    news = News(owner.tell)
    news.standings(status(Urgency.EXPIRED), 0)
    assert owner.events == []
    assert news.facts(status(Urgency.EXPIRED)) == [RotationFacts("chat", "ec", 4, 3)]


def test_a_failure_for_good_is_told_from_another_one(told: Told) -> None:
    assert (told.facts.error, told.facts.is_refused) == ("certificate: no such name", False)
    told.news.failed(CHAT, failure(FailureKind.PERMANENT))
    assert told.facts.is_refused
    assert [event["kind"] for event in told.owner.told("rotation_failed")] == ["temporary", "permanent"]
    told.news.failed(CHAT, failure())
    assert not told.facts.is_refused


def test_a_compromised_certificate_that_is_still_believed_in_is_a_fact_until_it_is_revoked(told: Told) -> None:
    told.news.revoked(CHAT, ["the CA is down", "the other one too"])
    assert told.facts.unrevoked == "the CA is down"
    assert len(told.owner.told("revocation_failed")) == 2
    told.news.revoked(CHAT, [])
    assert told.facts.unrevoked is None


def test_a_credential_that_is_gone_is_forgotten(told: Told) -> None:
    told.news.failed(CHAT, failure(FailureKind.PERMANENT))
    told.news.revoked(CHAT, ["the CA is down"])
    told.news.follow([CHAT])
    assert (told.facts.is_refused, told.facts.unrevoked) == (True, "the CA is down")
    told.news.follow([])
    assert (told.facts.error, told.facts.is_refused, told.facts.unrevoked) == (None, False, None)


def test_a_rotation_is_told_from_beginning_to_end(told: Told, tmp_path: Path) -> None:
    told.news.begun(CHAT, "its lifetime runs out")
    told.news.renewed(CHAT, renewed(tmp_path))
    _, begun, rotated = told.owner.events
    assert (begun["event"], begun["reason"]) == ("rotation", "its lifetime runs out")
    assert (rotated["event"], rotated["version"]) == ("rotated", 1)
    assert told.facts.error is None
