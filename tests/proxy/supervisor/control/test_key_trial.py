"""A key of a token: what uses it, and whether each worker can sign with it."""

import asyncio
from typing import Any

from config.pkcs11_uri import parse
from proxy.processes.messages.answers import KeyTried
from proxy.processes.messages.questions import TryKey
from proxy.supervisor.control.key_trial import WorkerKeyTrial
from proxy.supervisor.editions.served_edition import ServedEdition
from tests.configurations import Site
from tests.fleets import edition_of


class Worker:
    """A worker with its place."""

    def __init__(self, slot: int) -> None:
        self.slot, self.pid = slot, 100 + slot


class Fleet:
    """Two workers, one of which does not answer."""

    async def ask_all(self, question: TryKey, seconds: float) -> dict[Worker, KeyTried | None]:
        assert (question.key.object, seconds > 0) == ("chat", True)
        return {Worker(0): KeyTried(is_used=True, signs=False), Worker(1): None}


async def test_a_silent_worker_is_listed_without_an_answer(site: Site) -> None:
    fleet: Any = Fleet()
    trial = WorkerKeyTrial(asyncio.get_running_loop(), ServedEdition(edition_of(site, site.minimal)), fleet)
    assert await trial.of(parse("pkcs11:token=plexi;object=chat")) == {
        "uses": [],
        "workers": [
            {"slot": 0, "pid": 100, "is_used": True, "signs": False},
            {"slot": 1, "pid": 101, "is_used": None, "signs": None},
        ],
    }
