"""The lead of a fleet as an operator wants it: away from a node, or with one of them.

The wish is a value that all nodes hear of. Whom it asks to abstain does not lead until another one
has taken the lead, or until the time for that is over. Then each node may lead as before.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from proxy.supervisor.membership.shared_kind import FleetNode

LEAD: Final = "lead"
ABSTAIN_SECONDS: Final = 30
"""Time for another node to take the lead, and for one that starts meanwhile."""


@dataclass(frozen=True, slots=True)
class LeadWish:
    """`to` shall lead, None for anyone but `by`."""

    by: str
    to: str | None

    def spares(self, node: str) -> bool:
        return self.to == node if self.to is not None else self.by != node


class Lead:
    """A `SharedKind`."""

    prefix: Final = LEAD
    is_kept: Final = False

    def __init__(self) -> None:
        self._wish: LeadWish | None = None
        self._wished = asyncio.Event()

    def parse(self, name: str, content: Any) -> LeadWish:
        del name
        to = content["to"]
        return LeadWish(str(content["by"]), None if to is None else str(to))

    def take(self, changed: Mapping[str, Any]) -> None:
        self._wish = changed[LEAD]
        self._wished.set()

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:
        del now, epoch
        return {}

    async def run(self, node: FleetNode) -> None:
        while True:
            await self._wished.wait()
            self._wished.clear()
            if self._wish is not None:
                node.abstain(0 if self._wish.spares(node.name) else ABSTAIN_SECONDS)

    async def give(self, node: FleetNode, to: str | None) -> None:
        """Wish that another node leads: `to`, or (None) any. Raises as `FleetNode.write`."""
        await node.write({LEAD: asdict(LeadWish(node.name, to))}, lasts_seconds=ABSTAIN_SECONDS)
