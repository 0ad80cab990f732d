"""The file of what the rotation remembers across restarts: its waits, and how often keys signed.

Without this file, a process that crashes repeatedly would ask its issuers each time.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from certs.rotation.planning import Key
from certs.storage.store import Store
from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import RotationMemoryLost
from proxy.observe.events.event import Tell

_NAME: Final = "rotation.json"


def kept(store: Store) -> Any:
    """What an earlier process has kept, or None. Blocks. Raises `OSError` or `ValueError`."""
    try:
        return json.loads((store.directory / _NAME).read_bytes())
    except FileNotFoundError:
        return None


def drop_mark(store: Store, key: Key) -> None:
    """Forget a compromised key that is replaced. Blocks. Raises `OSError` or `ValueError`."""
    document = kept(store)
    marks = document["waits"]["compromised"]
    document["waits"]["compromised"] = [mark for mark in marks if tuple(mark) != key]
    store.disk.write(store.directory / _NAME, json.dumps(document).encode())


class Kept:
    """One small file, which is replaced as a whole. Errors go to the log and stop no rotation."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        self._loop = loop
        self._tell = tell
        self._writing = asyncio.Lock()

    async def take_up(self, store: Store, take: Callable[[Any], None]) -> None:
        """Give the kept document to `take`, which may raise `ValueError`. Skip this without one."""
        try:
            document = await in_thread(self._loop, lambda: kept(store))
            if document is not None:
                take(document)
        except (KeyError, OSError, TypeError, ValueError) as error:
            self._failed(error)

    async def keep(self, store: Store, document: Any) -> None:
        content = json.dumps(document).encode()

        def write() -> None:
            store.disk.make_directory(store.directory)
            store.disk.write(store.directory / _NAME, content)

        async with self._writing:
            try:
                await in_thread(self._loop, write)
            except OSError as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._tell(RotationMemoryLost(f"{type(error).__name__}: {error}"))
