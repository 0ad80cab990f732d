"""Brings messages to one receiver: one at a time, and again until it takes them."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Final

from proxy.net.waiting import happened
from proxy.observe.alert import Notice
from proxy.observe.events.alerts import AlertFailed, AlertsArriveAgain
from proxy.observe.events.event import Tell
from proxy.supervisor.alerts.receivers import NotDelivered, Receiver
from proxy.supervisor.alerts.unsent import UnsentNotices


class Courier:
    """Delivers while `run` runs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receiver: Receiver,
        host: str,
        tell: Tell,
        results: Counter[tuple[str, str]],
        waits: Callable[[float], float] = lambda seconds: seconds,
    ) -> None:
        """`host` is the name of this machine, for the messages.

        `results` counts attempts by kind of the receiver and result. `waits` changes pauses.
        """
        self.receiver: Final = receiver
        self._results = results
        self._loop = loop
        self._host = host
        self._tell = tell
        self._waits = waits
        self._unsent = UnsentNotices()
        self._stirred = asyncio.Event()
        self._delivering = asyncio.Lock()
        self._failures = 0
        self._is_tried_again = False
        """Whether a test has arrived during a pause: the receiver works again."""

    def put(self, notice: Notice) -> None:
        """Deliver a message as soon as possible. Never waits."""
        self._unsent.put(notice)
        self._stirred.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._stirred.clear()
            if not self._unsent:
                await self._stirred.wait()
                continue
            notice = self._unsent.first()
            self._is_tried_again = False
            fault = await self._deliver(notice)
            if fault is None:
                self._unsent.sent(notice)
                self._arrived()
                continue
            self._failures += 1
            if self._failures == 1:
                self._tell(AlertFailed(self.receiver.name, fault))
            await self._pause(self._loop.time())

    async def test(self, notice: Notice) -> str | None:
        """Deliver a test at once. Returns why the receiver did not take it, or None.

        If it arrives, what waits is tried at once too.
        """
        fault = await self._deliver(notice)
        if fault is None:
            self._is_tried_again = True
            self._stirred.set()
        return fault

    async def _deliver(self, notice: Notice) -> str | None:
        async with self._delivering:
            try:
                await self.receiver.take(json.dumps(notice.as_json(self._host)).encode() + b"\n")
            except NotDelivered as error:
                self._results[self.receiver.kind, "failed"] += 1
                return str(error)
            self._results[self.receiver.kind, "ok"] += 1
            return None

    def _arrived(self) -> None:
        if self._failures:
            self._tell(AlertsArriveAgain(self.receiver.name, self._failures, self._unsent.dropped))
        self._failures = 0
        self._unsent.dropped = 0

    async def _pause(self, failed_at: float) -> None:
        """Wait after a failure. A more urgent message that comes meanwhile shortens the pause."""
        while True:
            self._stirred.clear()
            left = failed_at + self._waits(self._unsent.pause_seconds(self._failures)) - self._loop.time()
            if left <= 0 or self._is_tried_again:
                return
            await happened(self._stirred, left)
