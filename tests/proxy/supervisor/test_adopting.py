"""The parent keeps handshakes by day: no file is an obstacle, and what cannot be written is told once."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from proxy.observe.adoption_store import AdoptionStore
from proxy.observe.counts.breaking import BreakingClients
from proxy.observe.counts.counters import Counters
from proxy.observe.counts.merging import Retained
from proxy.observe.scrape import ListenerFacts
from proxy.processes.messages.answers import WorkerFigures
from proxy.supervisor.adopting import Adopting
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.fakes_admin import CLASSICAL, HYBRID

NOON = 1_795_867_200.0
TODAY = "2026-11-28"


@dataclass
class Worker:
    """One that has counted."""

    last: WorkerFigures | None = None


@dataclass
class World:
    """A parent's surroundings."""

    loaded: LoadedConfig
    ended: Retained = field(default_factory=Retained)
    counters: Counters = field(default_factory=lambda: Counters(breaking=BreakingClients(lambda: TODAY)))
    events: list[dict[str, Any]] = field(default_factory=list)

    async def scrape(self, seconds: float) -> Iterable[Worker]:
        """One worker that answers, and one that never has."""
        assert seconds > 0
        figures = WorkerFigures(generation=1, snapshot=self.counters.snapshot(), servers=())
        return [Worker(figures), Worker()]

    def adopting(self) -> Adopting:
        """A parent that has just begun."""
        facts = [ListenerFacts("public", ["127.0.0.1:443"], "prefer", "X25519MLKEM768 / X25519")]
        loop = asyncio.get_running_loop()
        made = Adopting(loop, self.scrape, self.ended, lambda event: self.events.append(event.as_json()), lambda: NOON)
        made.restore(self.loaded, lambda: facts)
        return made

    @property
    def store(self) -> AdoptionStore:
        """Its file."""
        return AdoptionStore.of(self.loaded)

    def aside(self) -> bytes:
        """What was set aside."""
        return self.store.path.with_name("adoption.json.damaged").read_bytes()

    def kept(self) -> dict[str, int]:
        """The handshakes of today on disk."""
        return self.store.read().days[TODAY]["public"].handshakes["chat"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    site = Site.make(tmp_path)
    return World(load(site.write(MINIMAL_LISTENER + site.identity + MINIMAL_REST + '[rotation]\nstate = "state"\n')))


async def test_counts_outlive_the_parent(world: World) -> None:
    first = world.adopting()
    world.counters.established("public", HYBRID, 0.1)
    await first.keep()
    assert world.kept() == {"hybrid": 1}
    world.counters.established("public", CLASSICAL, 0.1)
    world.ended.keep(world.counters.snapshot())
    first.finish()
    assert world.kept() == {"hybrid": 1, "client_cannot": 1}
    world.ended, world.counters = Retained(), Counters()
    world.counters.established("public", HYBRID, 0.1)
    document = await world.adopting().document()
    assert document["days"][TODAY]["public"]["handshakes"] == {"chat": {"hybrid": 2, "client_cannot": 1}}
    assert document["listeners"] == {"public": {"pq": "prefer", "groups": "X25519MLKEM768 / X25519"}}
    assert world.events == []


async def test_nothing_is_written_without_a_handshake(world: World) -> None:
    adopting = world.adopting()
    await adopting.keep()
    adopting.finish()
    assert not world.store.path.exists()


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"version": 0}', b"PK\x03\x04 an archive of another program"])
async def test_damaged_file_is_told_and_counts_begin_anew(world: World, content: bytes) -> None:
    world.store.path.parent.mkdir()
    world.store.path.write_bytes(content)
    adopting = world.adopting()
    (event,) = world.events
    assert (event["event"], event["file"]) == ("adoption_set_aside", str(world.store.path))
    aside = world.store.path.with_name("adoption.json.damaged")
    assert (event["kept_as"], world.aside()) == (str(aside), content)
    world.counters.established("public", HYBRID, 0.1)
    await adopting.keep()
    assert world.kept() == {"hybrid": 1}


async def test_full_disk_is_told_once_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    adopting = world.adopting()
    world.counters.established("public", HYBRID, 0.1)
    with monkeypatch.context() as patched:
        patched.setattr("proxy.observe.adoption_store.write_state", _full)
        for _ in range(2):
            await adopting.keep()
    assert [(one["event"], one["reason"]) for one in world.events] == [("adoption_not_kept", "No space left on device")]
    await adopting.keep()
    assert world.kept() == {"hybrid": 1}
    world.counters.established("public", HYBRID, 0.1)
    world.ended.keep(world.counters.snapshot())
    monkeypatch.setattr("proxy.observe.adoption_store.write_state", _full)
    adopting.finish()
    assert len(world.events) == 2  # it had worked in between


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_file_that_cannot_be_opened_or_renamed_is_no_obstacle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store.path.mkdir(parents=True)
    world.adopting()
    assert [one["event"] for one in world.events] == ["adoption_not_kept"]
    world.store.path.rmdir()
    world.store.path.write_bytes(b"damaged")
    monkeypatch.setattr(AdoptionStore, "set_aside", lambda _: _full())
    world.adopting()
    assert [one["event"] for one in world.events] == ["adoption_not_kept"] * 2


async def test_process_that_goes_on_later_has_the_file(world: World) -> None:
    """As in an upgrade in place, where the old process drains beside the new one."""
    old = world.adopting()
    world.counters.established("public", HYBRID, 0.1)
    await old.keep()
    new = world.adopting()
    world.counters.established("public", HYBRID, 0.1)
    await new.keep()
    assert world.kept() == {"hybrid": 3}
    for _ in range(2):
        world.counters.established("public", CLASSICAL, 0.1)
        await old.keep()
    old.finish()
    assert world.kept() == {"hybrid": 3}


async def test_file_that_was_damaged_meanwhile_is_written_again(world: World) -> None:
    adopting = world.adopting()
    world.store.path.parent.mkdir()
    world.store.path.write_text(json.dumps({"version": 7}))
    world.counters.established("public", HYBRID, 0.1)
    await adopting.keep()
    assert world.kept() == {"hybrid": 1}


async def test_counts_are_kept_from_time_to_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr("proxy.supervisor.adopting.asyncio", SimpleNamespace(sleep=sleep))
    world.counters.established("public", HYBRID, 0.1)
    with pytest.raises(asyncio.CancelledError):
        await world.adopting().run()
    assert slept == [300.0, 300.0]
    assert world.kept() == {"hybrid": 1}
