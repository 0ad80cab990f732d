"""What each worker shows is known, whatever the kernel would choose."""

import asyncio
from pathlib import Path
from typing import Any

from config.values.pkcs11_uri import parse
from proxy.api.certificates import ShownRow
from proxy.api.commands import KeyTrialDocument
from proxy.processes.messages.answers import KeyTried
from proxy.processes.messages.questions import TryKey
from proxy.supervisor.control.inspection import WorkerKeyTrial, connected_pair
from proxy.supervisor.editions.issued import as_material
from proxy.supervisor.editions.served_edition import ServedEdition
from tests.configurations import Site
from tests.parts import differences
from tests.serving_rotations import serving
from tests.workforces import edition_of


async def test_each_kind_of_credential_is_looked_at(tmp_path: Path) -> None:
    async with serving(tmp_path, "ec-p256@file", "mldsa-65@file") as one:
        rows = await one.inspection.of("chat")
        assert list(differences(rows, list[ShownRow])) == []
        assert rows is not None
        assert [(row["worker"], row["listener"], row["algorithm"]) for row in rows] == [
            (worker, "public", "ecdsa-p256") for worker in (0, 1)
        ], "the other one was not issued yet"
        assert await one.inspection.of("nobody") is None


async def test_a_worker_that_shows_something_else_is_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as one:
        second = one.scene.stored()
        number, material = one.served.next_number(), one.files(second)
        one.served.edition = one.served.edition.with_issued(
            number, as_material(material)
        )  # which no worker has heard of
        rows = await one.inspection.of("chat")
        assert rows is not None
        assert len(rows) == 2
        assert all(row["fault"] for row in rows)


def test_both_ends_belong_together() -> None:
    ours, theirs = connected_pair()
    with ours, theirs:
        assert ours.getpeername() == theirs.getsockname()
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


class Worker:
    """A worker with its place."""

    def __init__(self, slot: int) -> None:
        self.slot, self.pid = slot, 100 + slot


class Workforce:
    """Two workers, one of which does not answer."""

    async def ask_all(self, question: TryKey, seconds: float) -> dict[Worker, KeyTried | None]:
        assert (question.key.object, seconds > 0) == ("chat", True)
        return {Worker(0): KeyTried(is_used=True, signs=False), Worker(1): None}


async def test_a_silent_worker_is_listed_without_an_answer(site: Site) -> None:
    workforce: Any = Workforce()
    trial = WorkerKeyTrial(asyncio.get_running_loop(), ServedEdition(edition_of(site, site.minimal)), workforce)
    told = await trial.of(parse("pkcs11:token=plexi;object=chat"))
    assert list(differences(told, KeyTrialDocument)) == []
    assert told == {
        "uses": [],
        "workers": [
            {"slot": 0, "pid": 100, "is_used": True, "signs": False},
            {"slot": 1, "pid": 101, "is_used": None, "signs": None},
        ],
    }
