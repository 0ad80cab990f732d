"""An upgrade in place under load: no connection is refused, no request fails, WebSockets end only by the drain."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fleets import is_alive
from tests.integration.stage import workers_of
from tests.soak.h2_load import browse_h2
from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import Scene, scene
from tests.upgrades import other_version, this_version, upgrade
from tests.waiting import until_found

pytestmark = pytest.mark.paced

DRAIN_SECONDS = 1.0
CROWD = Crowd(keeping=2, connecting=2, sockets=8, message_seconds=0.2, think_seconds=0.05, comes_again=True)
H2 = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp = ["h2", "http/1.1"]'
EXTRA = f"[limits]\ndrain_seconds = {DRAIN_SECONDS}\n"


@contextmanager
def upgradable(directory: Path, **settings: Any) -> Iterator[Scene]:
    """A scene whose parent may be another process at the end."""
    with scene(directory, listener=H2, **{"extra": EXTRA, **settings}) as running:
        try:
            yield running
        finally:
            for pid in parents(running):
                os.kill(pid, signal.SIGTERM)
            for pid in parents(running):
                until_found(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]


def parents(running: Scene) -> list[int]:
    """The processes that upgrades have started and that live."""
    return [one["pid"] for one in running.events("upgrade") if is_alive(one["pid"])]


def test_upgrade_to_another_version_and_back_is_not_noticed(tmp_path: Path) -> None:
    newer, older = other_version(tmp_path, "9.9.9"), this_version(tmp_path)

    def act(tally: Tally) -> None:
        first, workers = running.running.pid, running.worker_pids
        running.workers = 3
        running.write()
        told = upgrade(running.path, "--program", str(newer))
        assert (told.status, told.last.get("version")) == (0, "9.9.9"), told
        status = running.admin.status()
        assert status["version"] == "9.9.9"
        assert set(status["former_workers"]) <= set(workers)
        assert len(status["workers"]) == 3
        until_found(lambda: not is_alive(first))
        until_found(lambda: not any(map(is_alive, workers)))
        assert running.admin.status()["former_workers"] == []
        assert tally.closes.total() >= CROWD.sockets
        running.workers = 1
        running.write()
        told = upgrade(running.path, "--program", str(older))
        assert (told.status, told.last.get("version")) == (0, "0.1.0"), told
        until_found(lambda: len(parents(running)) == 1)
        assert len(workers_of(told.last["pid"])) == 1

    with upgradable(tmp_path) as running:
        tally = asyncio.run(
            under_load(
                running.port,
                running.client,
                CROWD,
                lambda tally: asyncio.to_thread(act, tally),
                [browse_h2, browse_h2],
            )
        )
        assert running.events("error", "worker_ended", "worker_failed", "upgrade_failed") == []
    assert [failure for failure in tally.failures if not failure.startswith("a stall of ")] == []
    assert {close.partition(" ")[0] for close in tally.closes} == {"1012"}
    assert tally.requests > 500
