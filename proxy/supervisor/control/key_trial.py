"""Tries a key in a token for the admin server: what uses it, and which workers can sign with it."""

import asyncio
from typing import Any, Final

from config.pkcs11_uri import Pkcs11Uri
from proxy.net.in_thread import in_thread
from proxy.processes.messages.questions import TryKey
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.workers.fleet import Fleet

# For a signature, or for finding the key. A worker whose token hangs counts as one without answer.
_KEY_SECONDS: Final = 10.0


class WorkerKeyTrial:
    """Lets the workers try keys."""

    def __init__(self, loop: asyncio.AbstractEventLoop, served: ServedEdition, fleet: Fleet) -> None:
        """`served` says what uses a key."""
        self._loop = loop
        self._served = served
        self._fleet = fleet

    async def of(self, key: Pkcs11Uri) -> dict[str, Any]:
        """See `admin.contracts.Control.try_key`.

        `uses` also has the uses by the parent, such as `[sealing]`. Workers do not know these.
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
