"""What the nodes of a fleet say of themselves, and which of them are alive.

Each node writes below its own name alone: `facts` when they change; `alive` with a lease, so that
it disappears with the node; and `reload`, its answer to an offer. The facts stay when a node has
ended, so that it cannot come back with an audit log that was replaced.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from proxy.net.in_thread import in_thread
from proxy.net.waiting import happened
from proxy.observe.events.event import Tell
from proxy.observe.events.secrets import FleetConfigurationSeen, FleetLogBroken, FleetNodeAlive, FleetNodeGone
from proxy.supervisor.membership.kinds.node_facts import LogEnd, NodeFacts, ReloadAnswer
from proxy.supervisor.membership.places import NODES, nodes_of
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, FleetNode

_ALIVE_SECONDS: Final = 90
"""So long after its death a node counts as alive."""
_REFRESH_SECONDS: Final = 30.0
_TELL_SECONDS: Final = 600.0
"""Facts are told again: who starts cannot open what the key of an earlier epoch has sealed."""
_LOOK_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 1.0
"""After a failure of the store, and before this node has joined."""
_END_SECONDS: Final = 1.0


class Nodes:
    """A `SharedKind`."""

    prefix: Final = NODES
    is_kept: Final = False

    def __init__(self, own: Callable[[LogEnd | None], NodeFacts], tell: Tell, clock: Callable[[], float]) -> None:
        """`own` are the facts of this node, made with what it has said of its audit log before. It
        reads files: it is called in a thread, and raises `OSError`. `clock` gives UNIX seconds.
        """
        self._own = own
        self._tell = tell
        self._clock = clock
        self.facts: dict[str, NodeFacts] = {}
        self._signs: set[str] = set()
        self.answers: dict[str, ReloadAnswer] = {}
        self.broken: dict[str, tuple[float, str]] = {}
        """When the audit log of a node last did not go on from where it was, and how."""
        self.heard: Callable[[], None] = lambda: None
        """Is called after each answer."""
        self._members: Callable[[], Sequence[str]] | None = None
        """As far as this node has heard, while it runs."""
        self._stale: set[str] = set()
        """Nodes of which the store has older facts than this node."""
        self._changed = asyncio.Event()

    @property
    def alive(self) -> set[str]:
        """The members that are alive. One that was expelled says so for a while, and is none."""
        return {*self._signs} if self._members is None else self._signs.intersection(self._members())

    def parse(self, name: str, content: Any) -> Any:
        match name.rpartition("/")[2]:
            case "facts":
                return NodeFacts.parse(content)
            case "reload":
                return ReloadAnswer.parse(content)
            case _:
                return content

    def take(self, changed: Mapping[str, Any]) -> None:
        for name, found in changed.items():
            place, _, part = name.removeprefix(NODES).partition("/")
            for node in nodes_of("", [place]):
                match part:
                    case "facts":
                        self._take_facts(node, found)
                    case "alive":
                        self._take_sign(node, is_there=found is not None)
                    case "reload":
                        self._take_answer(node, found)
                    case _:  # of a newer version
                        pass

    def _take_facts(self, node: str, found: NodeFacts | None) -> None:
        if found is None:
            self.facts.pop(node, None)
            return
        before = self.facts.get(node)
        if before is not None and found.at < before.at:
            # of a store that was restored: what this node remembers is newer
            self._stale.add(node)
            self._changed.set()
            return
        self._stale.discard(node)
        self.facts[node] = found
        if before is None or before.configuration != found.configuration:
            self._tell(FleetConfigurationSeen(node, found.configuration))
        ended = None if before is None else before.audit
        if ended is not None:
            fault = "it is written no more" if found.audit is None else found.audit.break_after(ended)
            if fault is not None:
                self.broken[node] = self._clock(), fault
                self._tell(FleetLogBroken(node, fault))

    def _take_sign(self, node: str, *, is_there: bool) -> None:
        if is_there and node not in self._signs:
            self._signs.add(node)
            self._tell(FleetNodeAlive(node))
        elif not is_there and node in self._signs:
            self._signs.discard(node)
            self._tell(FleetNodeGone(node))
            self._changed.set()  # perhaps this one, which did not reach the store for too long

    def _take_answer(self, node: str, found: ReloadAnswer | None) -> None:
        if found is None:
            self.answers.pop(node, None)
        else:
            self.answers[node] = found
            self.heard()

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:
        del now, epoch
        return {}

    def lowest_schema(self, members: Sequence[str]) -> int:
        """The newest schema that these nodes all read; 0 if one of them has not said it."""
        return min((self.facts[node].schema if node in self.facts else 0 for node in members), default=0)

    def differing(self, configuration: str) -> dict[str, str]:
        """The nodes that are alive and serve by another one, and which."""
        alive = self.alive
        found = {node: facts.configuration for node, facts in self.facts.items() if node in alive}
        return {node: other for node, other in found.items() if other != configuration}

    def look(self) -> None:
        """Compare what is true of this node with what it has told, now."""
        self._changed.set()

    async def run(self, node: FleetNode) -> None:
        self._members = lambda: node.members
        signed_at = -_REFRESH_SECONDS
        try:
            while True:
                wait = _RETRY_SECONDS
                with suppress(*NOT_WRITTEN):
                    signed_at = await self._say(node, signed_at)
                    wait = _LOOK_SECONDS
                await happened(self._changed, wait)
                self._changed.clear()
        finally:
            with suppress(TimeoutError, *NOT_WRITTEN):
                async with asyncio.timeout(_END_SECONDS):
                    await node.write({f"{NODES}{node.name}/alive": None})

    async def _say(self, node: FleetNode, signed_at: float) -> float:
        """Write what is new. Returns when this node has last said that it is alive."""
        known = self.facts.get(node.name)
        ended = None if known is None else known.audit
        own = await in_thread(asyncio.get_running_loop(), lambda: self._own(ended))
        now = self._clock()
        is_told = known is not None and node.name not in self._stale and now - known.at < _TELL_SECONDS
        if known is None or not is_told or replace(own, at=known.at) != known:
            await node.write({f"{NODES}{node.name}/facts": replace(own, at=now).as_json()})
        if node.name in self._signs and now - signed_at < _REFRESH_SECONDS:
            return signed_at
        await node.write({f"{NODES}{node.name}/alive": {}}, lasts_seconds=_ALIVE_SECONDS)
        return now

    async def answer(self, node: FleetNode, answer: ReloadAnswer) -> None:
        """Tell all nodes. Raises as `FleetNode.write`."""
        await node.write({f"{NODES}{node.name}/reload": answer.as_json()}, lasts_seconds=_ALIVE_SECONDS)
