"""Days of rotations in simulated time, with a CA that fails at random; and what must hold at every moment of them."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from certs.issuing.issuer import FailureKind, IssueFailed
from certs.rotation.facts import leaf_of
from certs.rotation.retries import JITTER, TABLE
from proxy.net.tasks import Tasks
from proxy.rotation.rotating import Rotating
from tests.rotations import REFUSED, Rotations, configuration

_SWAPS = timedelta(hours=2)
"""For workers that say no, now and then, to what the CA has given."""


@dataclass
class Simulation:
    """One CA, one credential; outages begin and end at random, and so do swaps that workers refuse."""

    directory: Path
    chance: random.Random
    lifetime: timedelta
    kinds: tuple[FailureKind, ...] = (FailureKind.TEMPORARY,)
    """What its failures say."""
    faults: list[str] = field(default_factory=list)
    """Whatever must not be."""
    renewals: int = 0
    failures: int = 0
    _last: tuple[datetime, float] | None = None
    """When the attempt before ended in a failure, and the least to wait after that."""
    _in_a_row: dict[str, int] = field(default_factory=dict)
    """Failures of the CA and of the rest."""

    _met: int = 0
    _longest_up: timedelta = timedelta(0)
    """How long the CA was there without a break since the renewal was due."""
    _looked_at_number: int = 0

    def __post_init__(self) -> None:
        """Set it up."""
        hours = int(self.lifetime.total_seconds() // 3_600)
        self.scene = Rotations(self.directory, configuration(issuer=f'lifetime = "{hours}h"', rotation='grace = "1h"'))
        self._down_until = self._up_since = self.scene.time.now

    async def run(self, span: timedelta) -> None:
        """Let so much time pass."""
        scene, time = self.scene, self.scene.time
        loop, errors = asyncio.get_running_loop(), list[BaseException]()
        tasks = Tasks(loop, errors.append)
        rotating = Rotating(loop, tasks, scene.owner.swap_issued, scene.owner.tell, time.clocks)
        await rotating.follow(scene.parts)
        end = time.now + span
        while time.now < end:
            self._weather()
            seconds = await rotating.turn()
            await tasks_ended(tasks)
            self._looked_at(rotating.rotations)
            self._check()
            time.passes(timedelta(seconds=max(1.0, seconds)))
        self.faults += [repr(error) for error in errors]

    def _weather(self) -> None:
        """The CA goes down now and then, for less time than the window of a renewal has."""
        time, scene = self.scene.time, self.scene
        if time.now >= self._down_until and (
            self._meets_a_renewal() or self.chance.random() < 60 / (self.lifetime.total_seconds() / 6)
        ):
            self._down_until = time.now + self.lifetime / 8 * (0.5 + self.chance.random() / 2)
        failure = IssueFailed(self.chance.choice(self.kinds), "the CA is down", self.chance.choice([None, 60.0]))
        scene.moody.failures = [failure] if time.now < self._down_until else []
        scene.owner.error = REFUSED if self.chance.random() < 0.1 else None

    def _meets_a_renewal(self) -> bool:
        """Once for each certificate: the outage that would be noticed."""
        current = self.scene.shelf().current()
        if current is None or current.number == self._met:
            return False
        is_due = leaf_of(current).not_valid_after_utc - self.scene.time.now < self.lifetime * 0.35
        self._met = current.number if is_due else self._met
        return is_due

    def _looked_at(self, rotations: Mapping[str, int]) -> None:
        """An attempt that was made in this turn was not made too soon after the one before."""
        if rotations["ok"] + rotations["failed"] == self.renewals + self.failures:
            return
        now = self.scene.time.now
        if self._last is not None and (now - self._last[0]).total_seconds() < self._last[1]:
            self.faults.append(f"tried again after {now - self._last[0]}, and not after {self._last[1]:.0f} s")
        if rotations["ok"] > self.renewals:
            self._last, self._in_a_row = None, {}
        else:
            failed = self.scene.owner.told("rotation_failed")[-1]
            whose, table = failed["step"], TABLE[FailureKind(failed["kind"])]
            count = self._in_a_row.get(whose, 0)
            self._in_a_row[whose] = count + 1
            self._last = (now, table[min(count, len(table) - 1)])
        self.renewals, self.failures = rotations["ok"], rotations["failed"]

    def _check(self) -> None:
        """An expired certificate is a fault where the CA could have been asked: it was there for longer than any wait of the table."""
        version, now = self.scene.shelf().current(), self.scene.time.now
        if version is None:
            return
        left = leaf_of(version).not_valid_after_utc - now
        if now < self._down_until or left >= self.lifetime * 0.3:
            self._up_since = now
        self._longest_up = (
            max(self._longest_up, now - self._up_since) if version.number == self._looked_at_number else timedelta(0)
        )
        self._looked_at_number = version.number
        longest_wait = max(TABLE[kind][-1] for kind in self.kinds) * (1 + JITTER)
        if left <= timedelta(0) and self._longest_up > timedelta(seconds=longest_wait) + _SWAPS:
            self.faults.append(f"what serves has expired at {now}, and the CA was there for {self._longest_up}")


async def tasks_ended(tasks: Tasks) -> None:
    """Wait until nothing is in flight."""
    while tasks._running:
        await asyncio.wait(list(tasks._running))
