"""One answer for all clients that ask while it is being made.

Reading the figures costs time in the parent and in every worker. Further clients add no cost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """Shares an answer of `make` among all who ask until it is there."""

    def __init__(self, make: Callable[[], Awaitable[Answer]]) -> None:
        self._make = make
        self._under_way: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """The answer that is in progress, or a new one. Raises what `make` raises."""
        if self._under_way is None:
            self._under_way = asyncio.get_running_loop().create_task(self._made())
            self._under_way.add_done_callback(self._over)
        # a caller that leaves does not cancel the answer for the others
        return await asyncio.shield(self._under_way)

    async def _made(self) -> Answer:
        return await self._make()

    def _over(self, task: "asyncio.Task[Answer]") -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # if all callers have left, asyncio would log the error
