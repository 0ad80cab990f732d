"""One answer for all who ask while it is being made: to read all figures costs the parent and every
worker time, however many ask.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """Shares what `make` answers: it is called for the first that asks, and not again before it has
    answered.
    """

    def __init__(self, make: Callable[[], Awaitable[Answer]]) -> None:
        """`make` is not called yet."""
        self._make = make
        self._under_way: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """The answer that is under way, or a new one. Raises what `make` raises."""
        if self._under_way is None:
            self._under_way = asyncio.get_running_loop().create_task(self._made())
            self._under_way.add_done_callback(self._over)
        # one that leaves does not cancel the answer for the others
        return await asyncio.shield(self._under_way)

    async def _made(self) -> Answer:
        return await self._make()

    def _over(self, task: "asyncio.Task[Answer]") -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # if all have left, its error is not wanted
