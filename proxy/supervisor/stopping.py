"""The signals that end the proxy: the first begins the drain, the second ends it at once."""

import asyncio
import signal
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Counts the signals that have come."""

    def __init__(self) -> None:
        """The signals are handled from `listen` on."""
        self._first = asyncio.Event()
        self._second = asyncio.Event()

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, self.asked)

    def asked(self) -> None:
        (self._second if self._first.is_set() else self._first).set()

    @property
    def is_asked(self) -> bool:
        return self._first.is_set()

    async def wait_for_first(self) -> None:
        await self._first.wait()

    async def wait_for_second(self) -> None:
        """Wait until the drain is to end at once."""
        await self._second.wait()
