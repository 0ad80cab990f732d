"""Values of one kind that a node holds in memory, as the store has them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from proxy.supervisor.membership.shared_kind import FleetNode

Content = TypeVar("Content")


class Entries(Generic[Content]):
    """A `SharedKind` of which nothing is due: its owner writes."""

    def __init__(
        self,
        prefix: str,
        read: Callable[[Any], Content],
        heard: Callable[[], None] = lambda: None,
        *,
        is_kept: bool = False,
    ) -> None:
        """`read` is `SharedKind.parse` without the name. `heard` is called after each change."""
        self.prefix: Final = prefix
        self.is_kept: Final = is_kept
        self.values: dict[str, Content] = {}
        """By what stands behind the prefix."""
        self._read = read
        self._heard = heard
        self._changed = asyncio.Event()

    def parse(self, name: str, content: Any) -> Content:  # noqa: ARG002 - the same for all
        return self._read(content)

    def take(self, changed: Mapping[str, Any]) -> None:
        for name, content in changed.items():
            if content is None:
                self.values.pop(name.removeprefix(self.prefix), None)
            else:
                self.values[name.removeprefix(self.prefix)] = content
        self._changed.set()
        self._changed = asyncio.Event()
        self._heard()

    @property
    def only(self) -> Content | None:
        """The value, if there is one: of a prefix that is a name."""
        return self.values.get("")

    async def next_after(self, seen: Content | None) -> Content | None:
        """What `only` is, once it is no more the one that was `seen`."""
        await self.until(lambda: self.only is not seen)
        return self.only

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:  # noqa: ARG002
        return {}

    async def run(self, node: FleetNode) -> None: ...

    async def until(self, is_there: Callable[[], bool]) -> None:
        while not is_there():
            await self._changed.wait()
