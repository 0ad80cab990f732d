"""Keys that rest sealed open by themselves when the sealing key is back."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.values.problems import ConfigError
from proxy.observe.events.event import Event
from proxy.supervisor.editions.edition import Edition, StillShut, read_edition, reread_edition
from proxy.supervisor.reloads.unsealing import Unsealing
from proxy.supervisor.secrets.safe import Safe
from tests.proxy.supervisor.reloads.test_changeover import RENEWED, Case
from tests.rotations import Rotations, Time, configuration
from tests.waiting import until_seen
from tests.workforces import SECRETS


class SealedAway:
    """A proxy with issued keys that rest sealed, and the sealing key elsewhere."""

    def __init__(self, directory: Path, *keys: str) -> None:
        now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - OpenSSL has a clock of its own
        self.scene = Rotations(directory, time=Time(now))
        for key in keys:
            self.scene.follow(configuration(key))
            self.scene.serve()
        self.scene.follow(configuration(*keys))
        self.safe = Safe(lambda: now)
        self.key = self.scene.parts.store.directory / "sealing.key"
        self.away = directory / "elsewhere.key"
        self.leave()

    def leave(self) -> None:
        self.key.rename(self.away)

    def come_back(self) -> None:
        self.away.rename(self.key)

    def read(self) -> Edition:
        return read_edition(self.scene.file, 1, SECRETS, self.scene.time.now, self.safe)


class Told(Case):
    """What it was told."""

    def __init__(self, edition: Edition) -> None:
        super().__init__(edition)
        self.told: list[dict[str, Any]] = []

    def tell(self, event: Event) -> None:
        self.told.append(event.as_json())


@pytest.fixture
def sealed(tmp_path: Path) -> SealedAway:
    return SealedAway(tmp_path, "ec-p256@sealed")


def unsealing(sealed: SealedAway) -> tuple[Unsealing, Told]:
    parent, loop = Told(sealed.read()), asyncio.get_running_loop()
    return Unsealing(loop, parent.changeover.renew, sealed.safe, parent.served, parent.tell), parent


def test_an_edition_knows_what_is_shut_and_what_opens(sealed: SealedAway) -> None:
    edition = sealed.read()
    assert edition.identities.shut == edition.identities.dark == {"chat"}
    assert list(edition.identities.certificates) == []
    with pytest.raises(StillShut):
        edition.unsealed(2, sealed.safe)
    sealed.come_back()
    after = edition.unsealed(2, sealed.safe)
    assert after.number == 2
    assert after.identities.shut == after.identities.dark == set()
    assert [one.identity for one in after.identities.certificates] == ["chat"]
    assert after.material.keys() - edition.material.keys() == after.made.keys()
    assert sealed.read().identities.shut == set()


def test_who_has_a_usual_key_beside_is_not_dark(tmp_path: Path) -> None:
    edition = SealedAway(tmp_path, "ec-p256@file", "mldsa-65@sealed").read()
    assert edition.identities.shut == {"chat"}
    assert edition.identities.dark == set()


async def test_a_reload_shuts_nothing_that_is_served(sealed: SealedAway) -> None:
    loop, shut = asyncio.get_running_loop(), sealed.read()
    assert (await reread_edition(loop, shut, 2, sealed.safe, lambda: None)).identities.shut == {"chat"}
    sealed.come_back()
    served = await reread_edition(loop, shut, 3, sealed.safe, lambda: None)
    sealed.leave()
    with pytest.raises(ConfigError, match=r"sealing\.key.*with which keys of chat do not open"):
        await reread_edition(loop, served, 4, sealed.safe, lambda: None)


async def test_it_is_tried_until_it_opens_and_told(sealed: SealedAway) -> None:
    one, parent = unsealing(sealed)
    assert not await one.open()
    assert (parent.steps, parent.told) == ([], [])
    sealed.come_back()
    assert await one.open()
    assert parent.steps == ["prepare", *RENEWED]
    assert parent.told == [{"event": "unsealed", "identities": ["chat"]}]
    assert parent.served.edition.identities.shut == set()


async def test_what_is_in_the_way_is_said_once(sealed: SealedAway) -> None:
    sealed.scene.follow(configuration("ec-p256@sealed", further='[sealing]\nkey = "none.key"\n'))
    one, parent = unsealing(sealed)
    for _ in range(2):
        assert not await one.open()
    (event,) = parent.told
    assert event["event"] == "not_unsealed"
    assert "none.key" in event["detail"]
    assert parent.steps == []


async def test_it_goes_on_by_itself_and_does_nothing_more_afterwards(
    sealed: SealedAway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.reloads.unsealing.BACK_OFF_SECONDS", (0.0, 0.001, 0.002))
    monkeypatch.setattr("proxy.supervisor.reloads.unsealing._IDLE_SECONDS", 0.001)
    one, parent = unsealing(sealed)
    running = asyncio.get_running_loop().create_task(one.run())
    for _ in range(2):
        sealed.come_back()
        await until_seen(lambda: not parent.served.edition.identities.shut)
        sealed.leave()
        parent.served.edition = sealed.read()  # as a start would
    running.cancel()
    await asyncio.wait({running})
    assert parent.steps == ["prepare", *RENEWED] * 2
