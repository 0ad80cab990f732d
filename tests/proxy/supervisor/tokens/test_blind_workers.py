"""Who is told of, and who is replaced, where a worker cannot use a token that is healthy."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.net.tasks import Tasks
from proxy.supervisor.tokens.blind_workers import BlindWorkers, Need
from proxy.supervisor.tokens.contracts import TokenUser


@dataclass(frozen=True)
class OneWorker:
    """What the parent knows of a worker."""

    slot: int
    pid: int
    is_alive: bool = True
    is_retiring: bool = False


WORKERS = [OneWorker(0, 4_000), OneWorker(1, 4_001)]


class Scene:
    """Two workers; `needs` says what each lacks, and each replacement waits for `goes_on`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tasks: Tasks) -> None:
        self.needs = {4_000: Need.SPARE, 4_001: Need.SPARE}
        self.events: list[dict[str, Any]] = []
        self.replacing: list[int] = []
        self.goes_on = asyncio.Event()
        self.blind = BlindWorkers(
            loop,
            tasks,
            self.replace,
            lambda event: self.events.append(event.as_json()),
            lambda one, _: self.needs[one.pid],
        )

    async def replace(self, worker: TokenUser) -> None:
        self.replacing.append(worker.pid)
        await self.goes_on.wait()
        self.goes_on.clear()

    async def look(self, times: int = 6) -> None:
        for _ in range(times):
            self.blind.found_well("plexi", WORKERS)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    loop, errors = asyncio.get_running_loop(), list[BaseException]()
    tasks = Tasks(loop, errors.append)
    yield Scene(loop, tasks)
    await tasks.cancel_all()
    assert errors == []


async def test_nobody_is_replaced_for_a_token_that_stands_in_only_and_it_is_said_once(scene: Scene) -> None:
    await scene.look(5)
    assert scene.events == []
    await scene.look(5)
    assert scene.replacing == []
    assert [(one["pid"], one["replaced"]) for one in scene.events] == [(4_000, False), (4_001, False)]


async def test_those_whom_an_identity_depends_on_are_replaced_one_after_the_other(scene: Scene) -> None:
    scene.needs |= {4_000: Need.IDENTITY, 4_001: Need.IDENTITY}
    await scene.look(10)
    assert scene.replacing == [4_000]
    scene.goes_on.set()
    await scene.look(2)
    assert scene.replacing == [4_000, 4_001]
    assert all(one["replaced"] for one in scene.events)


async def test_one_that_has_found_it_meanwhile_is_not_replaced(scene: Scene) -> None:
    scene.needs |= {4_000: Need.IDENTITY, 4_001: Need.IDENTITY}
    await scene.look()
    scene.needs[4_001] = Need.NONE
    scene.goes_on.set()
    await scene.look(3)
    assert scene.replacing == [4_000], "and the first one's successor has to wait for a minute"


async def test_a_spare_one_is_replaced_as_soon_as_an_identity_depends_on_it(scene: Scene) -> None:
    await scene.look()
    scene.needs[4_001] = Need.IDENTITY
    await scene.look(1)
    assert scene.replacing == [4_001]


async def test_who_finds_it_again_begins_anew(scene: Scene) -> None:
    await scene.look(5)
    for pid in scene.needs:
        scene.blind.forget_worker(pid, "plexi")
    scene.blind.forget("plexi")
    await scene.look(5)
    assert scene.events == []
