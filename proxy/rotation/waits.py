"""What is waited for, in a file: a process that crashes and starts again must not ask its issuers each time."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from certs.rotation.planning import Instant, Planner
from certs.storage.store import Store
from proxy.in_thread import in_thread

_NAME: Final = "waits.json"

Tell = Callable[[dict[str, Any], str], None]


class WaitsFile:
    """Keeps the waits of a planner; what goes wrong is a line in the log, as rotating matters more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        """`tell` logs an event with its line."""
        self._loop = loop
        self._tell = tell
        self._writing = asyncio.Lock()

    async def take_up(self, store: Store, planner: Planner, now: Instant) -> None:
        """Have a planner wait for what the process before did."""
        try:
            content = await in_thread(self._loop, (store.directory / _NAME).read_bytes)
            planner.remember(json.loads(content), now)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._failed("read", error)

    async def keep(self, store: Store, planner: Planner, now: Instant, trying: Iterable[str]) -> None:
        """Write what is waited for; issuers that are being asked (`trying`) count as failed until it is written again."""
        content = json.dumps(planner.remembered(now, trying)).encode()

        def write() -> None:
            store.disk.make_directory(store.directory)
            store.disk.write(store.directory / _NAME, content)

        async with self._writing:
            try:
                await in_thread(self._loop, write)
            except OSError as error:
                self._failed("written", error)

    def _failed(self, what: str, error: Exception) -> None:
        event = {"event": "waits_lost", "detail": str(error)}
        self._tell(event, f"what rotations wait for could not be {what}: {error}")
