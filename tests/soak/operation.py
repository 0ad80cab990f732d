"""Hours of an operator's life in front of busy clients, and what became of memory and of the clients.

Every few seconds something is done to the proxy: a reload that changes something, new certificates, a worker that is replaced, a
server that drains and comes back, a log that is rotated, a scrape. At the end: zero failures, zero closes that nobody asked for,
and flat memory.
"""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.programs import PLEXIGATE
from tests.soak.load import Crowd, Tally, under_load
from tests.soak.scenes import Scene, scene

CROWD = Crowd(keeping=8, connecting=2, sockets=100, message_seconds=1.0, think_seconds=0.05, comes_again=True)
ACT_SECONDS = 5.0
# What memory may grow by between the second quarter and the last one; allocators breathe, leaks do not stop.
GROWTH_BYTES = 3 << 20
DRAIN_SECONDS = 3
SECOND = "127.0.0.2"
BASE = f'[limits]\ndrain_timeout = "{DRAIN_SECONDS}s"\n'


@dataclass
class Operator:
    """Does one thing after the other, and writes down the memory of each role."""

    running: Scene
    done: dict[str, int] = field(default_factory=dict)
    memory: list[dict[str, int]] = field(default_factory=list)
    _turn: int = 0

    @property
    def duties(self) -> list[Callable[[], None]]:
        """What there is to do, in turn."""
        return [
            self.change_a_limit,
            self.renew,
            self.replace_a_worker,
            self.drain,
            self.change_a_route,
            self.change_workers,
            self.rotate_the_log,
            self.undrain,
            self.look,
        ]

    def act(self) -> None:
        """Do the next thing."""
        duty = self.duties[self._turn % len(self.duties)]
        self._turn += 1
        duty()
        name = duty.__name__
        self.done[name] = self.done.get(name, 0) + 1
        pids = self.running.resident_bytes()
        parent = pids.pop(self.running.running.pid)
        self.memory.append({"parent": parent, "largest worker": max(pids.values())})

    def change_a_limit(self) -> None:
        """A reload that changes a number."""
        self._reload(BASE + f"body_bytes = {1_000_000 + self._turn}")

    def change_a_route(self) -> None:
        """A reload that adds a route and a listener, or takes them away."""
        more = '[[route]]\nhost = "localhost"\npath = "/more"\nupstream = "backend"\n[listener.more]\nbind = "127.0.0.1:0"\n'
        self._reload(BASE + (more if self._turn % 2 else ""))

    def change_workers(self) -> None:
        """A reload with another number of workers."""
        self.running.workers = 5 - self.running.workers
        self._reload(BASE)

    def renew(self) -> None:
        """New certificates."""
        self.running.renew()
        self._reload(BASE)

    def replace_a_worker(self) -> None:
        """One worker is asked to end: another one takes its slot."""
        os.kill(self.running.worker_pids[0], signal.SIGTERM)

    def drain(self) -> None:
        """One of the two servers drains: its WebSockets are asked to come again, on the other one."""
        self._command("drain", "backend", self.running.server(SECOND))

    def undrain(self) -> None:
        """It comes back."""
        self._command("undrain", "backend", self.running.server(SECOND))

    def rotate_the_log(self) -> None:
        """SIGUSR1."""
        self.running.signal(signal.SIGUSR1)

    def look(self) -> None:
        """`plexigate status`."""
        json.loads(self._command("status", "--json"))

    def _reload(self, extra: str) -> None:
        self.running.extra = extra
        self.running.write()
        self._command("reload")

    def _command(self, *words: str) -> bytes:
        command = [PLEXIGATE, *words, "--config", str(self.running.path)]
        return subprocess.run(command, check=True, capture_output=True).stdout


async def soak(running: Scene, minutes: float, console: Console) -> tuple[Operator, Tally]:
    """Load and operation for so long."""
    operator = Operator(running)

    async def operate(tally: Tally) -> None:
        begun, told = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < minutes * 60 and len(tally.failures) < 10:
            await asyncio.sleep(ACT_SECONDS)
            await asyncio.to_thread(operator.act)
            memory = ", ".join(f"{name} {size / 2**20:.1f} MB" for name, size in operator.memory[-1].items())
            console.print(
                f"{passed / 60:6.1f} min  {tally.requests:>9} requests  {tally.messages:>8} messages  "
                f"{len(tally.failures)} failures  {memory}",
                highlight=False,
            )
            for failure in tally.failures[told:]:
                console.print(f"failed: {failure}", highlight=False)
            told = len(tally.failures)

    return operator, await under_load(running.port, running.client, CROWD, operate)


def growth(memory: list[dict[str, int]]) -> dict[str, int]:
    """How much more each role held at most in the last quarter than in the second one."""
    quarter = max(1, len(memory) // 4)
    before, after = memory[quarter : 2 * quarter] or memory, memory[-quarter:]
    return {role: max(one[role] for one in after) - max(one[role] for one in before) for role in memory[0]}


def verdict(running: Scene, operator: Operator, tally: Tally) -> list[str]:
    """What is wrong."""
    errors = list(running.events("error", "worker_ended", "worker_failed", "reload_failed", "worker_stuck"))
    wrong = [*tally.failures, *(json.dumps(entry) for entry in errors)]
    wrong += [
        f"{count} WebSockets ended with {code}" for code, count in tally.closes.items() if not code.startswith("1012 ")
    ]
    wrong += [
        f"the {role} grew by {size / 2**20:.1f} MB"
        for role, size in growth(operator.memory).items()
        if size > GROWTH_BYTES
    ]
    return wrong


def run(minutes: float, console: Console) -> list[str]:
    """Run it; answers what is wrong."""
    with (
        tempfile.TemporaryDirectory(prefix="plexigate-soak-") as directory,
        scene(Path(directory), extra=BASE, servers=("127.0.0.1", SECOND)) as running,
    ):
        operator, tally = asyncio.run(soak(running, minutes, console))
        wrong = verdict(running, operator, tally)
    table = Table("what", "how often", title=f"{minutes:g} minutes")
    figures = {
        "requests": tally.requests,
        "handshakes": tally.handshakes,
        "WebSocket messages": tally.messages,
        "WebSockets asked to come again": tally.rejoined,
        "requests sent again": tally.retried,
        "slowest step in ms": round(tally.slowest * 1_000),
        **operator.done,
    }
    for name, count in figures.items():
        table.add_row(name.replace("_", " "), f"{count}")
    for role, size in growth(operator.memory).items():
        table.add_row(f"growth of the {role} in KB", f"{size // 1024}")
    console.print(table)
    return wrong
