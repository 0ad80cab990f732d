"""Rotations while clients of every kind are busy: nobody notices, and the new certificate is everywhere within a second."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.integration.rotation import SECOND, RotatingScene
from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import scene

ROTATIONS = 20
SOCKETS = 200
# So many new connections in a row that miss no worker: each goes to one of two by chance.
SAMPLES = 12


@pytest.mark.timeout(170)
async def test_rotations_are_not_noticed(tmp_path: Path) -> None:
    seen: list[str] = []
    delays: list[float] = []

    async def rotate_often(tally: Tally) -> None:
        assert isinstance(running, RotatingScene)
        for _ in range(ROTATIONS):
            steps = await asyncio.to_thread(running.rotate, credential="ec")
            done = time.monotonic()
            assert steps[-1] == {"ok": True}, steps
            serial = next(step["serial"] for step in steps if step.get("rotated"))
            found = {await asyncio.to_thread(running.served) for _ in range(SAMPLES)}
            delays.append(time.monotonic() - done)
            assert found == {serial}, "an old certificate after the rotation had ended"
            seen.append(serial)
            if tally.failures:
                return

    with scene(tmp_path, kind=RotatingScene, second=SECOND) as running:
        tally = await under_load(running.port, running.client, Crowd(4, 2, SOCKETS, 0.5), rotate_often)
        wrong = running.events("rotation_failed", "reload_failed", "error", "worker_ended", "worker_stuck")
    assert tally.failures == []
    assert tally.closes == {}
    assert wrong == []
    assert len(set(seen)) == ROTATIONS
    assert tally.handshakes > SOCKETS + ROTATIONS
    assert tally.messages >= SOCKETS
    assert tally.retried == 0
