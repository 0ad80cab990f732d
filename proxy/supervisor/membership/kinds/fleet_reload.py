"""A reload of all nodes of a fleet: each has its own copy of the file; all take it, or none does.

Theory of operation. The node where an operator asks for it writes an offer: the digest of its file,
and the phase `check`. Each node that is alive compares its own file, tries it as `plexigate reload
--dry-run` does, and answers. If all can, the phase becomes `commit`, and each reloads; else the
offer is removed. An offer disappears by itself when the node that made it is gone.

Between the phases a node may lose its disk or a worker. Then it alone keeps the configuration
before: it answers so, and its digest shows it.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from config.fleet_digest import fleet_digest
from config.loading.reading import read_regular
from config.values.problems import Problem
from proxy.admin.requests.contracts import ReloadReport
from proxy.net.in_thread import in_thread
from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.kinds.node_facts import ReloadAnswer, ReloadOffer, ReloadPhase
from proxy.supervisor.membership.kinds.nodes import Nodes
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, FleetNode

RELOAD: Final = "reload"
_OFFER_SECONDS: Final = 120
_HEARD_SECONDS: Final = 5.0
_LARGEST_FILE: Final = 4 * 1_048_576


class Reload(Protocol):
    async def __call__(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration of this node again, and serve by it."""


class OfferedAlready(Exception):
    """Another reload of the fleet is in progress."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node

    def __str__(self) -> str:
        return f"{self.node} reloads the fleet now; wait until it has ended"


@dataclass(frozen=True, slots=True)
class FleetReloaded:
    """What became of an offer: why each node could not, None if it has reloaded, or could have.

    `has_committed`: all could, and were told to.
    """

    digest: str
    has_committed: bool
    faults: Mapping[str, str | None]


class FleetReload(Entries[ReloadOffer]):
    """A `SharedKind`."""

    def __init__(self, path: Path, reload: Reload, nodes: Nodes, seconds: float) -> None:
        """`path` is the configuration of this node. A phase takes at most `seconds`."""
        super().__init__(RELOAD, ReloadOffer.parse)
        self._path = path
        self._reload = reload
        self._nodes = nodes
        self._seconds = seconds
        self._answered = asyncio.Event()
        nodes.heard = self._answered.set

    # -- each node

    async def run(self, node: FleetNode) -> None:
        offer: ReloadOffer | None = None
        while True:
            offer = await self.next_after(offer)
            if offer is None or not self._is_asked(node.name, offer):
                continue
            answer = ReloadAnswer(offer.id, offer.phase, await self._fault(offer))
            with suppress(*NOT_WRITTEN):  # then it has not answered
                await self._nodes.answer(node, answer)
            self._nodes.look()

    def _is_asked(self, name: str, offer: ReloadOffer) -> bool:
        """A node that has not answered to the check does not commit: it may have just started."""
        known = self._nodes.answers.get(name)
        has_checked = known == ReloadAnswer(offer.id, ReloadPhase.CHECK, None)
        return has_checked if offer.phase is ReloadPhase.COMMIT else known is None or known.offer != offer.id

    async def _fault(self, offer: ReloadOffer) -> str | None:
        try:
            digest = await self._digest()
        except (OSError, ValueError) as error:
            return f"its file cannot be read: {error}"
        if digest != offer.digest:
            return f"its file is another one: {digest[:12]} in place of {offer.digest[:12]}"
        report = await self._reload(dry_run=offer.phase is ReloadPhase.CHECK)
        if report.ok:
            return None
        errors = [str(one) for one in map(Problem.from_json, report.problems) if one.is_error]
        return errors[0] if len(errors) == 1 else f"{len(errors)} problems, the first is: {errors[0]}"

    async def _digest(self) -> str:
        loop = asyncio.get_running_loop()
        read = await in_thread(loop, lambda: read_regular(self._path, _LARGEST_FILE))
        return fleet_digest(read.content)

    # -- where an operator asks

    async def offer(self, node: FleetNode) -> FleetReloaded:
        """Let all nodes that are alive reload, or none.

        Raises `OfferedAlready`, `OSError` and `ValueError` for a file that cannot be read, and as
        `FleetNode.write`.
        """
        if self.only is not None:
            raise OfferedAlready(self.only.node)
        offer = ReloadOffer(secrets.token_hex(8), node.name, await self._digest(), ReloadPhase.CHECK)
        asked = sorted(self._nodes.alive | {node.name})
        await node.write({RELOAD: offer.as_json()}, lasts_seconds=_OFFER_SECONDS)
        checked = await self._answers(asked, offer)
        if any(checked.values()):
            await self._end(node)
            return FleetReloaded(offer.digest, has_committed=False, faults=checked)
        offer = ReloadOffer(offer.id, offer.node, offer.digest, ReloadPhase.COMMIT)
        await node.write({RELOAD: offer.as_json()}, lasts_seconds=_OFFER_SECONDS)
        done = await self._answers(asked, offer)
        await self._end(node)
        return FleetReloaded(offer.digest, has_committed=True, faults=done)

    async def _end(self, node: FleetNode) -> None:
        """Remove the offer, and hear of that: the next one may follow at once."""
        # what was decided stands, also if the store fails now
        with suppress(TimeoutError, *NOT_WRITTEN):
            await node.write({RELOAD: None})
            async with asyncio.timeout(_HEARD_SECONDS):
                await self.until(lambda: self.only is None)

    async def _answers(self, asked: Sequence[str], offer: ReloadOffer) -> dict[str, str | None]:
        seconds = self._seconds
        answers = self._nodes.answers
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(_answers(answers.get(one), offer) for one in asked):
                    self._answered.clear()
                    await self._answered.wait()
        return {one: _outcome(answers.get(one), offer, seconds) for one in asked}


def _answers(answer: ReloadAnswer | None, offer: ReloadOffer) -> bool:
    return answer is not None and (answer.offer, answer.phase) == (offer.id, offer.phase)


def _outcome(answer: ReloadAnswer | None, offer: ReloadOffer, seconds: float) -> str | None:
    if answer is None or not _answers(answer, offer):
        return f"no answer within {seconds:g} s"
    return answer.fault
