"""What only the memory of the running parent has and the new one continues with: the counts since
the first start, alerts, the history of the page, and the figures of readiness.

It is handed over with the state, so nothing of it is older than that moment. What a process of
another version does not understand starts again.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from proxy.admin.requests.contracts import FigureControl
from proxy.api.adoption import AdoptionDocument
from proxy.figures.snapshot import Counts
from proxy.observe.adoption import AdoptionMalformed
from proxy.observe.counts.merging import merge
from proxy.observe.history.history import HandedHistory
from proxy.observe.history.reading import reading
from proxy.observe.metrics.exposition import exposition
from proxy.observe.status import status
from proxy.supervisor.alerts.alerting import Alerting, HandedAlerts
from proxy.supervisor.crew import Crew


class ParentDocument(TypedDict):
    """What another process continues with."""

    counts: Counts
    alerts: HandedAlerts
    history: HandedHistory
    readiness: AdoptionDocument


class ParentMemory:
    """Gathers it at one end, takes it at the other."""

    def __init__(self, crew: Crew, alerting: Alerting, figures: FigureControl) -> None:
        self._crew = crew
        self._alerting = alerting
        self._figures = figures

    async def document(self) -> ParentDocument:
        """Everything, for JSON. Asks all workers for their counts."""
        readiness = await self._crew.adopting.document()  # asks them
        return {
            "counts": self._crew.counts(),
            "alerts": self._alerting.handed(),
            "history": self._figures.history.handed(),
            "readiness": readiness,
        }

    async def take(self, document: Mapping[str, Any]) -> None:
        """Go on from what another process has gathered."""
        takes: dict[str, Callable[[Any], None]] = {
            "alerts": self._alerting.take_over,
            "history": self._figures.history.take_over,
            "readiness": self._crew.adopting.take_over,
        }
        for name, take in takes.items():
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, AdoptionMalformed):
                take(document[name])
        scrape = await self._figures.scrape()
        with contextlib.suppress(Exception):  # the rows of another version may break anything
            together = replace(scrape, retained=merge([scrape.retained or {}, document["counts"]]))
            for reader in (status, exposition, reading):
                reader(together)
            self._crew.retained.inherit(document["counts"])
