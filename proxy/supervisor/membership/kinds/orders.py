"""What operators have ordered for all nodes: routes under maintenance, and servers that drain."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.net.waiting import happened
from proxy.processes.messages.codec import MessageMalformed, decode
from proxy.processes.messages.questions import MaintainedRoute
from proxy.routes.error_pages import PageUnusable
from proxy.supervisor.membership.places import DRAIN_ORDERS, MAINTENANCE_ORDERS, ORDERS
from proxy.supervisor.membership.shared_kind import FleetNode, NotAMember

_RETRY_SECONDS: Final = 30.0
"""After a disk that took nothing."""
_LONGEST_SECONDS: Final = 2.0
"""How long an order may take on this node before who gave it is answered."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """All orders. A drain has the name of the upstream, that of the server, and how long its
    WebSockets have, in seconds.
    """

    routes: Mapping[str, MaintainedRoute] = field(default_factory=dict)
    drains: Mapping[tuple[str, str], float] = field(default_factory=dict)


class Orders:
    """A `SharedKind`."""

    prefix: Final = ORDERS
    is_kept: Final = True

    def __init__(self, follow: Callable[[Ordered], Awaitable[None]]) -> None:
        """`follow` obeys these orders, and no others, from now on; it may raise `OSError`."""
        self._follow = follow
        self._orders: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._changed.set()  # there may be orders of another fleet
        self._followed = asyncio.Event()
        self._node: FleetNode | None = None

    def parse(self, name: str, content: Any) -> Any:
        if not name.startswith(MAINTENANCE_ORDERS):
            _ = name.removeprefix(DRAIN_ORDERS).index("/")
            return float(content["seconds"])
        try:
            route = decode(MaintainedRoute, content)
            route.require_usable()
        except (MessageMalformed, PageUnusable):
            raise ValueError from None
        return route

    def take(self, changed: Mapping[str, Any]) -> None:
        both = {**self._orders, **changed}
        self._orders = {name: one for name, one in both.items() if one is not None}
        self._changed.set()

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:  # noqa: ARG002 - operators say what is
        return {}

    async def run(self, node: FleetNode) -> None:
        self._node = node
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._follow(self.ordered)
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()
            else:
                self._followed.set()

    @property
    def ordered(self) -> Ordered:
        routes = {one.route: one for one in self._orders.values() if isinstance(one, MaintainedRoute)}
        drains: dict[tuple[str, str], float] = {}
        for name, seconds in self._orders.items():
            if name.startswith(DRAIN_ORDERS):
                upstream, _, server = name.removeprefix(DRAIN_ORDERS).partition("/")
                drains[upstream, server] = seconds
        return Ordered(routes, drains)

    async def give(self, name: str, content: object | None) -> None:
        """Give an order, and wait until this node follows it. Raises as `FleetNode.write`."""
        if self._node is None:
            raise NotAMember
        self._followed.clear()
        await self._node.write({name: content})
        await happened(self._followed, _LONGEST_SECONDS)  # the others follow by themselves too
