"""Rotations in front of busy clients: by command, by the window of a CA, and while pebble is down. Short in the suite, long here."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from certs.issuing.issuer import FailureKind
from tests import pebble as pebbles
from tests.integration.rotation import SECOND, AcmeScene, RotatingScene, rotating
from tests.pebble import Pebble
from tests.ports import lasting_port
from tests.simulated_rotations import Simulation
from tests.soak.load import Crowd, Tally, under_load

WITHIN_SECONDS = 1.0
"""The new certificate is in every worker so soon after the rotation has ended."""
_WRONG = ("rotation_failed", "reload_failed", "error", "worker_ended", "worker_stuck")


@dataclass
class Outcome:
    """What came of it."""

    serials: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds until every worker had shown the new certificate."""
    tally: Tally = field(default_factory=Tally)
    faults: list[str] = field(default_factory=list)

    def judged(self, running: RotatingScene, *, may_fail: bool = False) -> "Outcome":
        """With all that went wrong; `may_fail`: rotations were made to fail."""
        wrong = [name for name in _WRONG if not (may_fail and name == "rotation_failed")]
        self.faults += [*self.tally.failures, *map(str, running.events(*wrong))]
        self.faults += [f"{count} WebSockets ended with {code}" for code, count in self.tally.closes.items()]
        if len(set(self.serials)) != len(self.serials):
            self.faults.append("a certificate came again")
        if self.slowest > WITHIN_SECONDS:
            self.faults.append(f"{self.slowest:.2f} s until every worker had the new certificate")
        return self


def everywhere(running: RotatingScene, serial: str, outcome: Outcome) -> None:
    """Hold each worker against what was rotated to, and note how long that took."""
    begun = time.monotonic()
    rows = [row for row in running.shown() if row["algorithm"].startswith(("ecdsa", "rsa"))]
    outcome.slowest = max(outcome.slowest, time.monotonic() - begun)
    outcome.serials.append(serial)
    outcome.faults += [f"worker {row['worker']}: {row}" for row in rows if row["fault"] or row["serial"] != serial]
    if {row["worker"] for row in rows} != set(range(running.workers)):
        outcome.faults.append(f"not every worker was looked at: {rows}")


async def rotate_often(running: RotatingScene, outcome: Outcome, rotations: int, tally: Tally) -> None:
    """Rotate by command, one after the other, until something goes wrong."""
    for _ in range(rotations):
        steps = await asyncio.to_thread(running.rotate, credential="ec")
        serial = next((step["serial"] for step in steps if step.get("rotated")), "")
        if not serial or tally.failures:
            outcome.faults.append(f"not rotated: {steps}")
            return
        await asyncio.to_thread(everywhere, running, serial, outcome)


async def rotations_by_command(directory: Path, rotations: int, sockets: int) -> Outcome:
    """An internal CA, two credentials, and a command repeatedly."""
    outcome = Outcome()

    with rotating(directory, RotatingScene, second=SECOND) as running:
        rotate = partial(rotate_often, running, outcome, rotations)
        outcome.tally = await under_load(running.port, running.client, Crowd(4, 2, sockets, 0.5), rotate)
        return outcome.judged(running)


@contextmanager
def pebble_scene(directory: Path, challenge: str) -> Iterator[AcmeScene]:
    """A proxy whose certificates come from pebble."""
    port, http_port = lasting_port(), lasting_port()
    with pebbles.names() as names:
        pebble = Pebble(directory, names.dns, http_port, port)
        settings: dict[str, Any] = AcmeScene.by_pebble(pebble, directory, challenge, port, http_port)
        with pebble.up():
            (directory / "root.pem").write_bytes(pebble.root)
            with rotating(directory, AcmeScene, **settings) as running:
                running.running.wait_for(lambda _: running.events("rotated") or None)
                yield running


async def renewals_by_pebble(directory: Path, challenge: str, rotations: int, sockets: int) -> Outcome:
    """Renewals under load; 30 % of all nonces are rejected, and an account has to be bound."""
    outcome = Outcome()

    with pebble_scene(directory, challenge) as running:
        rotate = partial(rotate_often, running, outcome, rotations)
        outcome.tally = await under_load(running.port, running.client, Crowd(2, 1, sockets, 0.5), rotate)
        return outcome.judged(running)


async def pebble_down(directory: Path, seconds: float, sockets: int) -> Outcome:
    """The CA goes down for so long, and forgets everything: what there is serves on, and the next one comes when it is back."""
    outcome = Outcome()
    port, http_port = lasting_port(), lasting_port()
    with pebbles.names() as names:
        pebble = Pebble(directory, names.dns, http_port, port)
        settings: dict[str, Any] = AcmeScene.by_pebble(pebble, directory, "tls-alpn-01", port, http_port)
        up = pebble.up()
        up.__enter__()
        (directory / "root.pem").write_bytes(pebble.root)

        async def outage(_tally: Tally) -> None:
            nonlocal up
            before = await asyncio.to_thread(running.served)
            await asyncio.to_thread(up.__exit__, None, None, None)
            failed = await asyncio.to_thread(running.rotate, credential="ec")
            if failed[-1] != {"ok": False}:
                outcome.faults.append(f"rotated without a CA: {failed}")
            await asyncio.sleep(seconds)
            if await asyncio.to_thread(running.served) != before:
                outcome.faults.append("something else serves while the CA is down")
            up = pebble.up()
            await asyncio.to_thread(up.__enter__)
            root = await asyncio.to_thread(lambda: pebble.root)
            (directory / "root.pem").write_bytes(root)
            client.load_verify_locations(cadata=root.decode())  # with its memory it has lost its root
            steps = await asyncio.to_thread(running.rotate, credential="ec")
            serial = next((step["serial"] for step in steps if step.get("rotated")), "")
            if not serial:
                outcome.faults.append(f"not renewed by the CA that came back: {steps}")
                return
            await asyncio.to_thread(everywhere, running, serial, outcome)

        try:
            with rotating(directory, AcmeScene, **settings) as running:
                running.running.wait_for(lambda _: running.events("rotated") or None)
                client = running.client
                outcome.tally = await under_load(running.port, client, Crowd(2, 1, sockets, 0.5), outage)
                return outcome.judged(running, may_fail=True)
        finally:
            up.__exit__(None, None, None)


async def simulated_week(directory: Path, seed: int) -> Outcome:
    """A week with certificates of six days, whose CA fails at random; and one with certificates of a day."""
    outcome = Outcome()
    kinds = (FailureKind.TEMPORARY, FailureKind.TEMPORARY, FailureKind.RATE_LIMITED)
    for name, lifetime, moods in (("days", timedelta(days=6), kinds), ("hours", timedelta(days=1), kinds[:1])):
        place = directory / name
        place.mkdir()
        simulation = Simulation(place, random.Random(seed), lifetime, moods)  # noqa: S311 - the same each time
        await simulation.run(timedelta(days=7))
        outcome.faults += simulation.faults
        if not simulation.renewals:
            outcome.faults.append("nothing was renewed")
    return outcome


SCENARIOS: Final[Mapping[str, Callable[[Path], Coroutine[None, None, Outcome]]]] = {
    "20 rotations, 200 WebSockets": lambda place: rotations_by_command(place, 20, 200),
    "pebble, tls-alpn-01": lambda place: renewals_by_pebble(place, "tls-alpn-01", 5, 100),
    "pebble, http-01": lambda place: renewals_by_pebble(place, "http-01", 5, 100),
    "pebble, down for a minute": lambda place: pebble_down(place, 60.0, 100),
    **{f"a simulated week, chance {seed}": partial(simulated_week, seed=seed) for seed in range(1, 6)},
}
"""The long forms, by what a table calls them."""


def run(minutes: float, console: Console) -> list[str]:
    """All of them, each for as long as it takes; answers what is wrong."""
    del minutes
    wrong: list[str] = []
    table = Table("what", "rotations", "new everywhere within ms", "handshakes", "WebSocket messages", "faults")
    for name, scenario in SCENARIOS.items():
        with tempfile.TemporaryDirectory(prefix="plexigate-soak-") as directory:
            outcome = asyncio.run(scenario(Path(directory)))
        wrong += [f"{name}: {fault}" for fault in outcome.faults]
        tally = outcome.tally
        figures = (len(outcome.serials), round(outcome.slowest * 1_000), tally.handshakes, tally.messages)
        table.add_row(name, *map(str, figures), str(len(outcome.faults)))
    console.print(table)
    return wrong
