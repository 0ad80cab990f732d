"""A standstill: the configuration and the secrets of the proxy do not change while it is held.

An upgrade holds it from the moment when the new process begins to read them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Standstill:
    """Held by one upgrade at a time."""

    def __init__(self) -> None:
        """Everything moves."""
        self.reason: str | None = None
        """Why nothing changes, in a sentence. None while everything moves."""
        self.reloads = 0
        """Reloads that were asked for without a command, and have not ended."""
        self._moves = asyncio.Event()
        self._moves.set()

    def begin(self, reason: str) -> None:
        """Hold it."""
        self.reason = reason
        self._moves.clear()

    def end(self) -> None:
        """Let what waits go on."""
        self.reason = None
        self._moves.set()

    @asynccontextmanager
    async def moving(self, lock: asyncio.Lock) -> AsyncIterator[None]:
        """Hold the lock, at a moment at which the standstill is not held."""
        while True:
            await self._moves.wait()
            async with lock:
                if self.reason is None:
                    yield
                    return
