"""What the admin server asks about a key in a token: what uses it, and whether each worker can sign
with it.
"""

import asyncio
from typing import Any, Final

from config.pkcs11_uri import Pkcs11Uri
from proxy.net.in_thread import in_thread
from proxy.processes.messages.questions import TryKey
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.workers.fleet import Fleet

# For a signature, or a look into the token; a worker whose token hangs counts as one that gave no
# answer.
_KEY_SECONDS: Final = 10.0


class WorkerKeyTrial:
    """Has the workers try keys."""

    def __init__(self, loop: asyncio.AbstractEventLoop, served: ServedEdition, fleet: Fleet) -> None:
        """`served` says what uses a key."""
        self._loop = loop
        self._served = served
        self._fleet = fleet

    async def of(self, key: Pkcs11Uri) -> dict[str, Any]:
        """See `admin.contracts.Control.try_key`.

        Workers do not know what the parent itself does with keys, as with that of `[sealing]`;
        `uses` has that too.
        """
        edition = self._served.edition
        uses = await in_thread(self._loop, edition.used_keys)
        answers = await self._fleet.ask_all(TryKey(key), _KEY_SECONDS)
        workers = [
            {
                "slot": worker.slot,
                "pid": worker.pid,
                "is_used": None if tried is None else tried.is_used,
                "signs": None if tried is None else tried.signs,
            }
            for worker, tried in answers.items()
        ]
        return {"uses": [one.where for one in uses if one.may_be(key)], "workers": workers}
