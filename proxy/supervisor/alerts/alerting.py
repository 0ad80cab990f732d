"""Examines the whole proxy repeatedly, and sends alerts about what requires operator action.

Theory of operation. Every ten seconds, and soon after each event of the parent, the state of the
proxy is judged (`rules`, `incidents`) and compared with the table of open alerts. What comes of
that goes to the log and to one courier for each receiver. No part of the parent waits for a
receiver, and none has to remember that it has raised an alert: what is not wrong any more is
resolved by the next look.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from proxy.api.commands import AlertsDocument, AlertTestDocument, ReceiverRow
from proxy.net.in_thread import in_thread
from proxy.net.tasks import Tasks
from proxy.net.waiting import happened
from proxy.observe.alert import AlertState, Concern, Notice, OpenAlert
from proxy.observe.alert_kinds import KINDS, AlertKind
from proxy.observe.events.alerts import AlertFailed, AlertRaised, AlertResolved, AlertsArriveAgain
from proxy.observe.events.event import Event, Tell
from proxy.observe.scrape import BackupFacts, Scrape
from proxy.supervisor.alerts.courier import Courier
from proxy.supervisor.alerts.growth import HandedGrowth
from proxy.supervisor.alerts.incidents import HandedIncidents, Incidents
from proxy.supervisor.alerts.memory import remember, remembered
from proxy.supervisor.alerts.open_alerts import HandedRow, Moment, OpenAlerts
from proxy.supervisor.alerts.receivers import ProgramReceiver, Receiver, WebhookReceiver
from proxy.supervisor.alerts.rules import AlertFacts, Rules
from proxy.supervisor.alerts.settings import AlertSettings
from proxy.supervisor.alerts.surroundings import DISK_SECONDS, ClockWatch, WatchedDisk

_LOOK_SECONDS: Final = 10.0
# After an event the next look comes sooner, but not at once: its followers are seen with it.
_SOON_SECONDS: Final = 1.0
_OURS: Final = (AlertRaised, AlertResolved, AlertFailed, AlertsArriveAgain)


@dataclass(frozen=True, slots=True)
class WatchedProxy:
    """The proxy, as far as alerts need it."""

    scrape: Callable[[], Awaitable[Scrape]]
    is_serving: Callable[[], bool]
    """Whether it neither starts nor ends."""
    shortage: Callable[[], str | None]
    """Why the parent is short of descriptors."""
    wall: Callable[[], float]
    """UNIX seconds."""


class HandedAlerts(TypedDict):
    """What a process that replaces this one continues with."""

    table: list[HandedRow]
    growth: HandedGrowth
    incidents: HandedIncidents


class Alerting:
    """Alerts from `follow` on, while `run` runs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        proxy: WatchedProxy,
        tell: Tell,
        report: Callable[[BaseException], None],
    ) -> None:
        """`tell` logs events, `report` logs internal errors."""
        self._loop = loop
        self._tasks = tasks
        self._proxy = proxy
        self._tell = tell
        self._report = report
        self._table = OpenAlerts()
        self._rules = Rules()
        self._incidents = Incidents()
        self._clock = ClockWatch(proxy.wall)
        self._settings: AlertSettings | None = None
        self._couriers: dict[object, tuple[Courier, asyncio.Task[None]]] = {}
        self._results: Counter[tuple[str, str]] = Counter()
        self._disk = WatchedDisk(loop)
        self._has_taken_over = False
        self._stirred = asyncio.Event()
        self._looking = asyncio.Lock()

    # -- what others do with it

    @property
    def open(self) -> Sequence[OpenAlert]:
        """The open alerts, the most urgent first."""
        return self._table.told

    @property
    def backup(self) -> BackupFacts | None:
        """The newest backup, as of the latest look; None if none is expected."""
        return self._disk.backup

    @property
    def deliveries(self) -> Mapping[tuple[str, str], int]:
        """Attempts to deliver, by receiver (`command`, `webhook`) and result (`ok`, `failed`)."""
        return dict(self._results)

    def follow(self, settings: AlertSettings) -> None:
        """Use these settings from now on. A receiver that is new gets the open alerts."""
        self._settings = settings
        wanted = self._receivers(settings)
        for place in self._couriers.keys() - wanted.keys():
            _, task = self._couriers.pop(place)
            task.cancel()
        for place in wanted.keys() - self._couriers.keys():
            courier = Courier(self._loop, wanted[place], socket.gethostname(), self._tell, self._results)
            for notice in self._table.again(self._moment()):
                courier.put(notice)
            self._couriers[place] = courier, self._tasks.start_to_cancel(courier.run())

    def _receivers(self, settings: AlertSettings) -> dict[object, Receiver]:
        found: dict[object, Receiver] = {}
        if settings.command:
            found[settings.command] = ProgramReceiver(settings.command)
        if settings.webhook is not None:
            found[settings.webhook] = WebhookReceiver(self._loop, settings.webhook)
        return found

    def hear(self, event: Event) -> None:
        """Take an event of the parent: look again soon."""
        if not isinstance(event, _OURS):
            self._incidents.hear(event, self._loop.time())
            self._stirred.set()

    def handed(self) -> HandedAlerts:
        """What a process that replaces this one continues with, for JSON."""
        ticks = self._loop.time()
        return {
            "table": self._table.handed(ticks),
            "growth": self._rules.growth.handed(ticks),
            "incidents": self._incidents.handed(ticks),
        }

    def take_over(self, document: Mapping[str, Any]) -> None:
        """Go on with what `handed` of an older process has returned, before `run`."""
        ticks = self._loop.time()
        self._rules.growth.take_over(document["growth"], ticks)
        self._incidents.take_over(document["incidents"], ticks)
        self._table.take_over(document["table"], ticks)
        self._has_taken_over = True

    # -- admin.requests.contracts.AlertControl

    async def listed(self) -> AlertsDocument:
        """Look, then return the open alerts as documents, and what may become one."""
        await self.look()
        return {"alerts": [one.as_json() for one in self.open], "waiting": self._table.waiting(self._loop.time())}

    async def test(self) -> AlertTestDocument:
        """Send a test alert to each receiver. It is `ok` if there is one, and each has taken it."""
        kind = AlertKind.TEST
        now = self._proxy.wall()
        concern = Concern(kind, "test", KINDS[kind].urgency, "this is a test: plexigate alerts test was called")
        notice = Notice(AlertState.FIRING, OpenAlert(concern, now, 1), now)
        couriers = [courier for courier, _ in self._couriers.values()]
        faults = [await courier.test(notice) for courier in couriers]
        rows: list[ReceiverRow] = [
            {"receiver": courier.receiver.kind, "to": courier.receiver.name, "ok": fault is None, "detail": fault}
            for courier, fault in zip(couriers, faults, strict=True)
        ]
        return {"ok": bool(rows) and not any(faults), "receivers": rows}

    # -- the looks

    async def run(self) -> None:
        """Look until cancelled."""
        await self._take_up()
        while True:
            self._stirred.clear()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - alerts must not end with their first error
                self._report(error)
                self._stirred.clear()  # the report is an event: without this the next error follows at once
            await asyncio.sleep(_SOON_SECONDS)
            left = min(_LOOK_SECONDS, self._table.look_within) - _SOON_SECONDS
            await happened(self._stirred, max(0.0, left))

    async def look(self) -> None:
        """Judge the proxy once, and tell what has changed."""
        async with self._looking:
            if self._settings is not None and self._proxy.is_serving():
                await self._look(self._settings)

    async def _look(self, settings: AlertSettings) -> None:
        await self._disk.look(settings)
        scrape = await self._proxy.scrape()
        if not self._proxy.is_serving():  # the drain has begun meanwhile: workers that end are no concern
            return
        facts = AlertFacts(
            scrape, settings.certificate_left, self._proxy.shortage(), self._disk.unwritable, self._clock.jump()
        )
        now = self._moment()
        concerns = [*self._rules.concerns(facts, now.ticks), *self._incidents.concerns(now.ticks)]
        notices = self._table.settle(concerns, now, settings.patience)
        for notice in notices:
            self._tell_of(notice)
            for courier, _ in self._couriers.values():
                courier.put(notice)
        memory = settings.memory
        alerts = self._table.kept()
        if notices and memory is not None:
            with contextlib.suppress(TimeoutError):  # the look at the directories reports it
                async with asyncio.timeout(DISK_SECONDS):
                    await in_thread(self._loop, lambda: remember(memory, alerts))

    def _tell_of(self, notice: Notice) -> None:
        concern = notice.alert.concern
        if notice.state is AlertState.RESOLVED:
            self._tell(AlertResolved(str(concern.kind), concern.subject, round(notice.lasted, 1)))
        elif not notice.is_repeat:
            remedy = KINDS[concern.kind].remedy
            self._tell(AlertRaised(str(concern.kind), concern.subject, str(concern.urgency), concern.text, remedy))

    async def _take_up(self) -> None:
        memory = None if self._settings is None else self._settings.memory
        if memory is not None and not self._has_taken_over:
            self._table.take_up(await in_thread(self._loop, lambda: remembered(memory)), self._moment())

    def _moment(self) -> Moment:
        return Moment(self._proxy.wall(), self._loop.time())
