"""Upgrades to another version and back, repeatedly under load, with programs that fail in between.

At the end: no connection refused, no request failed, and WebSockets that ended only by a drain.
"""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.soak.h2_load import browse_h2
from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import Scene, scene
from tests.upgrades import IS_READY, SERVES, other_version, speaker, this_version, upgrade
from tests.waiting import is_alive, until_found

CROWD = Crowd(keeping=4, connecting=4, sockets=50, message_seconds=0.5, think_seconds=0.05, comes_again=True)
LISTENER = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp = ["h2", "http/1.1"]'
EXTRA = '[limits]\ndrain_timeout = "3s"\n'
FAILING = ("sys.exit(3)", IS_READY + 'wait("take")\nsys.exit(5)', SERVES + "sys.exit(6)")


def operate(running: Scene, directory: Path, minutes: float, tally: Tally, console: Console) -> list[str]:
    """Upgrade for so long; answers what is wrong."""
    versions = [other_version(directory, "9.9.9"), this_version(directory)]
    wrong, done, end = list[str](), 0, time.monotonic() + minutes * 60
    while not wrong and (time.monotonic() < end or done < len(versions)):
        failing = speaker(directory, "failing", FAILING[done % len(FAILING)])
        if upgrade(running.path, "--program", str(failing)).status != 1:
            wrong.append("an upgrade to a program that fails did not fail")
        running.workers = 1 + done % 3
        running.write()
        told = upgrade(running.path, "--program", str(versions[done % len(versions)]))
        if told.status:
            wrong.append(f"upgrade {done + 1}: {told.last}")
        done += 1
        console.print(f"{done} upgrades  {tally.requests} requests  {len(tally.failures)} failures", highlight=False)
    return wrong


def run(minutes: float, console: Console) -> list[str]:
    """Run it; answers what is wrong."""
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="plexigate-soak-") as name,
        scene(Path(name), listener=LISTENER, extra=EXTRA) as running,
    ):

        async def act(tally: Tally) -> None:
            wrong.extend(await asyncio.to_thread(operate, running, Path(name), minutes, tally, console))

        tally = asyncio.run(under_load(running.port, running.client, CROWD, act, [browse_h2] * 2))
        for pid in [one["pid"] for one in running.events("upgrade") if is_alive(one["pid"])]:
            os.kill(pid, signal.SIGTERM)
            until_found(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
        wrong += [str(one) for one in running.events("error", "worker_failed")]
    wrong += tally.failures
    return wrong + [f"{count} WebSockets: {one}" for one, count in tally.closes.items() if not one.startswith("1012 ")]
