"""Reloads, and the death of a worker, while clients of every kind are busy: none of them may notice."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import Scene, scene

pytestmark = pytest.mark.alone

RELOADS = 12
REQUESTS = 5_000
SOCKETS = 200
SETTLED = 5
"""After so many reloads whatever is made once has been made."""
MEBIBYTE = 1 << 20
CHANGES = (
    'path = "/elsewhere"',
    "[limits]\nbody_bytes = 1_000",
    '[listener.second]\nbind = "127.0.0.1:0"\npq = "require"',
    '[limits]\nkeep_alive_timeout = "1m"',
    "",
)


async def reloaded(running: Scene, count: int, tally: Tally) -> None:
    """Wait until that many reloads have come to an end, or something went wrong."""
    while len(running.events("reloaded", "reload_failed")) < count and not tally.failures:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_reloads_are_not_noticed(tmp_path: Path) -> None:
    memory: list[dict[int, int]] = []

    async def reload_often(tally: Tally) -> None:
        for number in range(RELOADS):
            while tally.requests < (number + 1) * REQUESTS // RELOADS and not tally.failures:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
            route = '[[route]]\nhost = "localhost"\nupstream = "backend"\n' if number % len(CHANGES) == 0 else ""
            running.extra = route + CHANGES[number % len(CHANGES)]
            running.write()
            running.signal(signal.SIGHUP)
            await reloaded(running, number + 1, tally)
            memory.append(running.resident_bytes())

    with scene(tmp_path) as running:
        tally = await under_load(running.port, running.client, Crowd(6, 2, SOCKETS, 0.5), reload_often)
        outcome = [entry["event"] for entry in running.events("reloaded", "reload_failed", "error", "worker_ended")]
    assert tally.failures == []
    assert tally.closes == {}
    assert outcome == ["reloaded"] * RELOADS
    assert tally.requests >= REQUESTS
    assert tally.handshakes > SOCKETS
    assert tally.messages >= SOCKETS
    assert tally.retried == 0
    growth = {pid: memory[-1][pid] - memory[SETTLED - 1][pid] for pid in memory[-1]}
    assert len(growth) == 3
    assert max(growth.values()) <= 2 * MEBIBYTE, growth


@pytest.mark.timeout(60)
async def test_killed_worker_takes_only_its_own_connections(tmp_path: Path) -> None:
    """The sockets of its slot are accepted on by the other one at once, so new clients neither are refused nor wait."""
    shares: dict[str, int] = {}

    async def kill(tally: Tally) -> None:
        while tally.requests < 500 and not tally.failures:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
        victim = running.worker_pids[0]
        tally.failures.clear()
        os.kill(victim, signal.SIGKILL)
        begun, requests = time.monotonic(), tally.requests
        while not running.events("worker_joined"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
        shares["during"] = tally.requests - requests
        while tally.requests < requests + 2_000 and time.monotonic() - begun < 20:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)

    with scene(tmp_path) as running:
        # nobody keeps a connection for a second request: each one is new
        tally = await under_load(running.port, running.client, Crowd(0, 4, 100, 0.2), kill)
        ended = running.events("worker_ended")
    assert len(ended) == 1
    assert ended[0]["status"] == -signal.SIGKILL
    # the connections that the dead worker had accepted: one for each of the four clients at most
    assert len(tally.failures) <= 4, tally.failures
    assert not any("stall" in one or "refused" in one.lower() for one in tally.failures)
    assert shares["during"] > 0
    # its WebSockets are lost, those of the other worker are not
    assert 0 < sum(tally.closes.values()) < 100
    assert set(tally.closes) == {"none"}
