"""How certificates write into the store of the fleet: from the loop, or from the thread of an
issuer.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol, TypeVar

from certs.issuing.issuer import NotShared
from proxy.net.in_thread import LoopEnded, in_loop
from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.refusals import ValuesRefused
from proxy.supervisor.membership.shared import Conflict, SharedAway, Stored
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, FleetNode
from proxy.supervisor.membership.state import NodeState

_TAKEN_SECONDS: Final = 10.0
"""The limit until this node has taken what it has written itself."""
_CALL_SECONDS: Final = 30.0
"""The limit for a thread that waits for the store."""

Content = TypeVar("Content")
Result = TypeVar("Result")


class FleetMembership(FleetNode, Protocol):
    """The part of a `Member` that certificates use."""

    @property
    def fault(self) -> str | None: ...

    @property
    def trouble(self) -> Exception | None:
        """The same as it was raised: its kind tells what stops."""

    @property
    def has_begun(self) -> bool: ...

    @property
    def state(self) -> NodeState:
        """What is on the disk, once this node has begun."""

    @property
    def entries(self) -> Mapping[str, Stored]:
        """Everything in the store, as far as this node has heard."""


class FleetAccess:
    """Each failure is a `NotShared`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, membership: Callable[[], FleetMembership]) -> None:
        self.loop: Final = loop
        self._membership = membership
        self.needed: tuple[str, ...] = ("",)
        """How the names begin of all values that issuing depends on."""

    @property
    def node(self) -> FleetMembership:
        return self._membership()

    @property
    def epoch(self) -> int:
        key = self.node.state.key if self.node.has_begun else None
        return 0 if key is None else key.epoch

    @property
    def may_issue(self) -> bool:
        """Whether this node leads, and may trust what it knows, as `answers`."""
        return self.node.is_leading and self.answers

    @property
    def answers(self) -> bool:
        """Whether this node is a member, the store answers, and no value is refused on which
        issuing depends: what a node brought back that was expelled, for example.
        """
        trouble = self.node.trouble
        if isinstance(trouble, ValuesRefused):
            trouble = next((trouble for name in trouble.names if name.startswith(self.needed)), None)
        return self.epoch > 0 and trouble is None

    async def write(
        self, contents: Mapping[str, object | None], *, as_leader: bool = False, lasts_seconds: int | None = None
    ) -> None:
        try:
            await self.node.write(contents, as_leader=as_leader, lasts_seconds=lasts_seconds)
        except Conflict:
            detail = "this node does not lead the fleet any more" if as_leader else "another node was faster"
            raise NotShared(detail) from None
        except SharedAway as error:
            raise NotShared(f"the store of the fleet cannot be used: {error}") from None
        except NOT_WRITTEN as error:
            raise NotShared(str(error)) from None

    async def keep(
        self,
        entries: Entries[Content],
        name: str,
        wanted: Content | None,
        content: object,
        *,
        as_leader: bool = True,
        lasts_seconds: int | None = None,
    ) -> None:
        """Write one value, and wait until this node has heard of it: it can write it again only
        then.
        """
        await self.write({entries.prefix + name: content}, as_leader=as_leader, lasts_seconds=lasts_seconds)
        await self.taken(entries, name, wanted)

    async def taken(self, entries: Entries[Content], name: str, wanted: Content | None) -> None:
        """Wait until this node has heard of what it wrote."""
        try:
            async with asyncio.timeout(_TAKEN_SECONDS):
                await entries.until(lambda: entries.values.get(name) == wanted)
        except TimeoutError:
            raise NotShared("another node has written meanwhile") from None

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run it in the loop, and wait in a thread. Raises what it raises."""
        try:
            return in_loop(self.loop, work, _CALL_SECONDS)
        except LoopEnded:
            raise NotShared("the proxy is ending") from None
        except TimeoutError:
            raise NotShared(f"the store of the fleet has not answered within {_CALL_SECONDS:g} s") from None
