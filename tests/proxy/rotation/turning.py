"""A loop of rotations that a test turns by hand."""

import asyncio
from typing import Any

from certs.issuing.issuer import FailureKind, IssueFailed
from certs.rotation.due import RenewalReason
from proxy.net.tasks import Tasks
from proxy.rotation.rotating import Rotating
from tests.rotations import Rotations
from tests.simulated_rotations import tasks_ended

CHAT = ("chat", "ec")
LIMITED = IssueFailed(FailureKind.RATE_LIMITED, "too many requests", 7_200.0)
DOWN = IssueFailed(FailureKind.TEMPORARY, "the CA is down")


class Turning:
    """A loop that is turned by hand."""

    def __init__(self, scene: Rotations) -> None:
        self.scene = scene
        self.errors: list[BaseException] = []
        loop = asyncio.get_running_loop()
        self.tasks = Tasks(loop, self.errors.append)
        self.rotating = Rotating(loop, self.tasks, scene.owner.swap_issued, scene.owner.tell, scene.time.clocks)

    async def turn(self) -> float:
        """One turn, and all that it has begun."""
        seconds = await self.rotating.turn()
        await tasks_ended(self.tasks)
        return seconds

    async def rotate(self, reason: RenewalReason = RenewalReason.COMMAND, *, insists: bool = False) -> list[Any]:
        """Ask for a rotation, and turn until it has ended."""

        async def collect() -> list[Any]:
            return [step async for _, step in self.rotating.rotate([CHAT], reason, insists=insists)]

        steps = asyncio.get_running_loop().create_task(collect())
        await asyncio.sleep(0)
        while not steps.done():
            await self.turn()
        return steps.result()


def serving(turning: Turning) -> int | None:
    return turning.scene.shelf().ledger().current
