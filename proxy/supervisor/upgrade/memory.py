"""What only the memory of the running parent has and the new one goes on with: the counts since the
first start, alerts, the history of the page, and the figures of readiness.

It is handed over with the state, so nothing of it is older than that moment. What a process of
another version does not understand begins anew.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from proxy.observe.adoption import AdoptionMalformed
from proxy.observe.exposition import exposition
from proxy.observe.history.history import History
from proxy.observe.history.reading import reading
from proxy.observe.merging import merge
from proxy.observe.scrape import Scrape
from proxy.observe.status import status
from proxy.supervisor.alerts.alerting import Alerting
from proxy.supervisor.crew import Crew


class Observed(Protocol):
    """The figures of the proxy: a `SupervisorControl`."""

    @property
    def history(self) -> History:
        """The figures of the last day."""

    @property
    def scrape(self) -> Callable[[], Awaitable[Scrape]]:
        """Take all figures."""


class ParentMemory:
    """Gathers it at one end, takes it at the other."""

    def __init__(self, crew: Crew, alerting: Alerting, observed: Observed) -> None:
        """Those of one process."""
        self._crew = crew
        self._alerting = alerting
        self._observed = observed

    async def document(self) -> dict[str, Any]:
        """Everything, for JSON. Asks all workers for their counts."""
        readiness = await self._crew.adopting.document()  # asks them
        return {
            "counts": self._crew.counts(),
            "alerts": self._alerting.handed(),
            "history": self._observed.history.handed(),
            "readiness": readiness,
        }

    async def take(self, document: Mapping[str, Any]) -> None:
        """Go on from what another process has gathered."""
        takes: dict[str, Callable[[Any], None]] = {
            "alerts": self._alerting.take_over,
            "history": self._observed.history.take_over,
            "readiness": self._crew.adopting.take_over,
        }
        for name, take in takes.items():
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, AdoptionMalformed):
                take(document[name])
        scrape = await self._observed.scrape()
        with contextlib.suppress(Exception):  # the rows of another version may break anything
            together = replace(scrape, retained=merge([scrape.retained or {}, document["counts"]]))
            for reader in (status, exposition, reading):
                reader(together)
            self._crew.retained.inherit(document["counts"])
