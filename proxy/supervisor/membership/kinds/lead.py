"""The lead of a fleet as an operator wants it: away from a node, or with one of them.

The wish is a value that all nodes hear of. Whom it asks to abstain does not lead until another one
has taken the lead, or until the time for that is over. Then each node may lead as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.kinds.node_facts import SharedRow
from proxy.supervisor.membership.shared_kind import FleetNode

LEAD: Final = "lead"
ABSTAIN_SECONDS: Final = 30
"""Time for another node to take the lead, and for one that starts meanwhile."""


@dataclass(frozen=True, slots=True)
class LeadWish(SharedRow):
    """`to` shall lead, None for anyone but `by`."""

    by: str
    to: str | None

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "LeadWish":
        to = content["to"]
        return cls(str(content["by"]), None if to is None else str(to))

    def spares(self, node: str) -> bool:
        return self.to == node if self.to is not None else self.by != node


class Lead(Entries[LeadWish]):
    """A `SharedKind`."""

    def __init__(self) -> None:
        super().__init__(LEAD, LeadWish.read)

    async def run(self, node: FleetNode) -> None:
        wish: LeadWish | None = None
        while True:
            wish = await self.next_after(wish)
            if wish is not None:
                node.abstain(0 if wish.spares(node.name) else ABSTAIN_SECONDS)

    async def give(self, node: FleetNode, to: str | None) -> None:
        """Wish that another node leads: `to`, or (None) any. Raises as `FleetNode.write`."""
        await node.write({LEAD: LeadWish(node.name, to).as_json()}, lasts_seconds=ABSTAIN_SECONDS)
