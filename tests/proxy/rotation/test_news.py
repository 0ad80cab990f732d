"""What is told about rotations, to whom, and how often."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from certs.issuing.issuer import FailureKind
from certs.rotation.attempt import RotationStep
from certs.rotation.due import Due, RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.planning import Key, RotationStatus
from certs.rotation.urgency import Urgency
from config.rotation import RotationConfig
from proxy.net.tasks import Tasks
from proxy.rotation.news import News
from proxy.rotation.running import NotRenewed, Renewed
from tests.certs.authority import NOW
from tests.rotations import Owner, Rotations

CHAT: Key = ("chat", "ec")
HOUR = 3_600.0


class Told:
    """News, and what came of them."""

    def __init__(self, directory: Path) -> None:
        self.owner = Owner()
        self.out = directory / "alarms"
        self.errors: list[BaseException] = []
        loop = asyncio.get_running_loop()
        self.tasks = Tasks(loop, self.errors.append)
        self.news = News(loop, self.tasks, self.owner.tell)
        program = f"import sys; open({str(self.out)!r}, 'ab').write(sys.stdin.buffer.read())"
        self.settings = RotationConfig(alert_command=(sys.executable, "-c", program))

    def standing(self, urgency: Urgency, hours: float, error: str | None = "the CA is down") -> None:
        """Where chat is at an hour."""
        standings: Mapping[Key, RotationStatus] = {
            CHAT: RotationStatus(Due(NOW, RenewalReason.LIFETIME), urgency, 3, 0.0)
        }
        self.news.standings(standings, {CHAT: error}, self.settings, hours * HOUR)

    @property
    def urgencies(self) -> list[str]:
        """The alarms so far."""
        return [event["urgency"] for event in self.owner.told("certificate_urgent")]

    async def alarms(self, count: int) -> list[dict[str, Any]]:
        """What the program has got, when so many came."""
        while True:
            lines = self.out.read_bytes().splitlines() if self.out.exists() else []
            if len(lines) >= count:
                return [json.loads(line) for line in lines]
            await asyncio.sleep(0.01)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    made = Told(tmp_path)
    yield made
    await made.tasks.cancel_all()
    assert made.errors == []


async def test_what_becomes_graver_alarms_at_once(told: Told) -> None:
    for urgency in Urgency:
        told.standing(urgency, 0)
    assert told.urgencies == ["late", "grave", "expired"]
    assert {alarm["detail"] for alarm in await told.alarms(3)} == {"the CA is down"}


async def test_what_stays_as_it_is_alarms_again(told: Told) -> None:
    for hours in (0, 1, 23.9, 24, 47, 48.5):
        told.standing(Urgency.LATE, hours)
    assert told.urgencies == ["late"] * 3
    for hours in (49, 54.9, 55, 56):
        told.standing(Urgency.GRAVE, hours)
    assert told.urgencies[3:] == ["grave"] * 2
    for hours in (57, 57.5, 58, 59):
        told.standing(Urgency.EXPIRED, hours)
    assert told.urgencies[5:] == ["expired"] * 3
    await told.alarms(8)


async def test_what_is_mended_is_forgotten(told: Told) -> None:
    told.standing(Urgency.GRAVE, 0)
    told.standing(Urgency.GRAVE, 0.1, error=None)
    told.standing(Urgency.GRAVE, 0.2)
    assert told.urgencies == ["grave"] * 2
    await told.alarms(2)


async def test_first_attempts_are_no_news(told: Told) -> None:
    told.standing(Urgency.EXPIRED, 0, error=None)
    told.standing(Urgency.DUE, 0)
    assert told.owner.events == []


def failure(kind: FailureKind) -> NotRenewed:
    return NotRenewed(RotationStep.ISSUE, kind, "no such name", of_issuer=True)


async def test_what_will_not_mend_itself_alarms_at_once(told: Told) -> None:
    told.news.failed(CHAT, failure(FailureKind.TEMPORARY), told.settings)
    told.news.failed(CHAT, failure(FailureKind.PERMANENT), told.settings)
    assert [event["kind"] for event in told.owner.told("rotation_failed")] == ["temporary", "permanent"]
    (alarm,) = await told.alarms(1)
    assert (alarm["kind"], alarm["step"], alarm["detail"]) == ("permanent", "certificate", "no such name")


async def test_a_compromised_certificate_that_is_still_believed_in_alarms(told: Told) -> None:
    told.news.unrevoked(CHAT, "the CA is down", told.settings)
    (alarm,) = await told.alarms(1)
    assert alarm["event"] == "revocation_failed"


async def test_a_rotation_is_told_from_beginning_to_end(told: Told, tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    version = Rotations(tmp_path / "scene").serve()
    told.news.begun(CHAT, "its lifetime runs out")
    told.news.renewed(CHAT, Renewed(version.number, leaf_of(version)))
    begun, rotated = told.owner.events
    assert (begun["event"], begun["reason"]) == ("rotation", "its lifetime runs out")
    assert (rotated["event"], rotated["version"]) == ("rotated", 1)


async def test_nobody_who_is_named_is_nobody_to_alarm(told: Told) -> None:
    told.news.failed(CHAT, failure(FailureKind.PERMANENT), RotationConfig())
    await asyncio.sleep(0)
    assert not told.out.exists()
