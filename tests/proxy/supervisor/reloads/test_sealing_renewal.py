"""A running proxy renews the keys below its sealing key, and what they have sealed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certs.hierarchy.purposes import PURPOSES
from certs.hierarchy.vault import Vault
from certs.sealing.key_file import create_key
from certs.sealing.sealer import AeadSealer
from proxy.observe.events.event import Event
from proxy.observe.scrape import SealingFacts
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.sealing_renewal import LOOK_SECONDS, SealingRenewal
from proxy.supervisor.secrets.safe import TICKETS_FILE, Safe, now_in_utc
from tests.configurations import Site
from tests.waiting import until
from tests.workforces import edition_of

DAY = timedelta(days=1)


class Case:
    """A proxy with a secret of tickets that is sealed."""

    def __init__(self, site: Site, directory: Path, tables: str) -> None:
        self.directory = directory
        self.now = now_in_utc()
        self.safe = Safe(lambda: self.now)
        self.served = ServedEdition(edition_of(site, site.minimal + tables))
        self.told: list[dict[str, Any]] = []
        self.held = 0

    @property
    def vault(self) -> Vault:
        vault = self.safe.vault(self.served.edition.loaded)
        assert vault is not None
        return vault

    @property
    def tickets(self) -> Path:
        return self.directory / "sealed" / TICKETS_FILE

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        self.held += 1
        yield

    def tell(self, event: Event) -> None:
        self.told.append(event.as_json())

    def renewal(self) -> SealingRenewal:
        loop = asyncio.get_running_loop()
        return SealingRenewal(loop, self.changing, self.safe, self.served, self.tell, lambda: self.now)


def error_of(renewal: SealingRenewal) -> str | None:
    assert renewal.facts is not None
    return renewal.facts.error


@pytest.fixture
def case(site: Site, tmp_path: Path) -> Case:
    create_key(tmp_path / "sealing.key")
    table = f'[sealing]\nkey = "{tmp_path}/sealing.key"\ndirectory = "{tmp_path}/sealed"\nrotate_after = "30d"\n'
    case = Case(site, tmp_path, table)
    case.safe.tickets(case.served.edition.loaded)
    return case


async def test_without_a_sealing_key_there_is_nothing_to_do(site: Site, tmp_path: Path) -> None:
    case = Case(site, tmp_path, "")
    renewal = case.renewal()
    await renewal.look()
    assert (renewal.facts, case.told) == (None, [])


async def test_a_look_tells_the_age_of_the_keys_and_changes_nothing(case: Case) -> None:
    before = case.tickets.read_bytes()
    renewal = case.renewal()
    case.now += 29 * DAY
    await renewal.look()
    facts = renewal.facts
    assert facts is not None
    began = (case.now - 29 * DAY).timestamp()
    assert (facts.key, facts.since) == (str(case.directory / "sealing.key"), began)
    assert facts.keys_since == dict.fromkeys((one.name for one in PURPOSES.values()), began)
    assert (facts.is_previous, facts.error, case.told, case.held) == (False, None, [], 0)
    assert case.tickets.read_bytes() == before


async def test_what_is_due_is_renewed_and_told_once(case: Case) -> None:
    before = case.tickets.read_bytes()
    secrets, _ = case.safe.tickets(case.served.edition.loaded)
    renewal = case.renewal()
    case.now += 30 * DAY
    await renewal.look()
    await renewal.look()
    (told,) = case.told
    assert told["event"] == "sealing_renewed"
    assert told["done"] == [
        "rotated the keys for acme, backup, credentials, fleet, payload, tickets",
        "sealed 1 file again",
    ]
    assert case.tickets.read_bytes() != before
    assert case.held == 1
    case.now += 30 * DAY
    await renewal.look()
    assert "destroyed plexigate/tickets:1" in case.told[-1]["done"][-1]
    case.now -= 60 * DAY
    assert case.safe.tickets(case.served.edition.loaded) == (secrets, [])


async def test_a_file_that_cannot_be_sealed_again_is_a_fault_until_it_can(case: Case) -> None:
    content = case.tickets.read_bytes()
    case.tickets.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    renewal = case.renewal()
    case.now += 30 * DAY
    for _ in range(2):
        await renewal.look()
        assert "was changed or damaged" in str(error_of(renewal))
    assert [one["event"] for one in case.told] == ["sealing_renewed", "sealing_not_renewed"]
    case.tickets.write_bytes(content)
    await renewal.look()
    assert error_of(renewal) is not None, "it looks again in an hour"
    case.now += timedelta(hours=1)
    await renewal.look()
    assert error_of(renewal) is None
    assert case.told[-1]["done"] == ["sealed 1 file again"]


async def test_a_sealing_key_that_is_away_is_a_fault_when_it_is_needed(case: Case) -> None:
    renewal = case.renewal()
    await renewal.look()
    key = case.directory / "sealing.key"
    hidden = key.rename(case.directory / "hidden")
    await renewal.look()
    assert case.told == []
    case.now += 30 * DAY
    await renewal.look()
    assert renewal.facts is not None
    assert "cannot be read" in str(renewal.facts.error)
    assert renewal.facts.keys_since
    other = case.renewal()
    case.safe = Safe(lambda: case.now)
    hidden.rename(key)
    await other.look()
    assert [one["event"] for one in case.told] == ["sealing_not_renewed", "sealing_renewed"]


async def test_a_process_that_cannot_open_the_keys_at_all_says_so(case: Case) -> None:
    (case.directory / "sealing.key").unlink()
    case.safe = Safe(lambda: case.now)
    renewal = case.renewal()
    await renewal.look()
    assert renewal.facts is not None
    assert renewal.facts == SealingFacts(str(case.directory / "sealing.key"), error=renewal.facts.error)
    assert [one["event"] for one in case.told] == ["sealing_not_renewed"]


async def test_a_reload_is_followed_by_a_look_at_once(case: Case) -> None:
    renewal = case.renewal()
    running = asyncio.get_running_loop().create_task(renewal.run())
    await until(lambda: renewal.facts)
    case.vault.succeed(AeadSealer(create_key(case.directory / "next.key")), "next.key", case.now + 30 * DAY)
    case.served.changed.set()
    started = time.monotonic()
    await until(lambda: renewal.facts and renewal.facts.key == "next.key")
    assert time.monotonic() - started < LOOK_SECONDS / 2
    running.cancel()


async def test_a_rotation_of_the_sealing_key_is_seen_by_the_next_look(case: Case) -> None:
    renewal = case.renewal()
    await renewal.look()
    newest = case.directory / "next.key"
    until = case.now + 30 * DAY
    case.vault.succeed(AeadSealer(create_key(newest)), str(newest), until)
    await renewal.look()
    facts = renewal.facts
    assert facts is not None
    assert (facts.key, facts.is_previous, facts.previous_until) == (str(newest), True, until.timestamp())
    assert case.told == []
