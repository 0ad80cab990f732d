"""Messages come to a receiver one at a time, and again until it takes them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.observe.alert import AlertState, Concern, Notice, OpenAlert
from proxy.observe.alert_kinds import AlertKind, AlertUrgency
from proxy.supervisor.alerts.courier import Courier
from proxy.supervisor.alerts.receivers import NotDelivered
from tests.rotations import Owner
from tests.waiting import until


def notice(subject: str, urgency: str = "serious") -> Notice:
    concern = Concern(AlertKind.SERVER_DOWN, subject, AlertUrgency(urgency), "down")
    return Notice(AlertState.FIRING, OpenAlert(concern, 0.0, 1), 0.0)


@dataclass
class Door:
    """A receiver that takes messages while it is open, and holds them while it is `slow`."""

    kind: str = "webhook"
    name: str = "alerts.test"
    is_open: bool = True
    taken: list[str] = field(default_factory=list)
    attempts: int = 0
    inside: int = 0
    most_inside: int = 0
    slow: asyncio.Event | None = None

    async def take(self, body: bytes) -> None:
        """Take one."""
        self.attempts += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.slow is not None:
                await self.slow.wait()
            await asyncio.sleep(0)
            if not self.is_open:
                raise NotDelivered("it answered with status 500")
            self.taken.append(json.loads(body)["subject"])
        finally:
            self.inside -= 1


class Route:
    """A courier at work, with pauses that are as long as the test says."""

    def __init__(self) -> None:
        self.door, self.owner = Door(), Owner()
        self.results: Counter[tuple[str, str]] = Counter()
        self.pauses: list[float] = []
        self.factor = 0.0
        loop = asyncio.get_running_loop()
        self.courier = Courier(loop, self.door, "gate-1", self.owner.tell, self.results, self.waits)
        self.task = loop.create_task(self.courier.run())

    def waits(self, seconds: float) -> float:
        self.pauses.append(seconds)
        return seconds * self.factor

    def events(self) -> list[dict[str, Any]]:
        return self.owner.events


@pytest.fixture
async def route() -> AsyncIterator[Route]:
    made = Route()
    yield made
    made.task.cancel()
    await asyncio.wait({made.task})


async def test_messages_arrive_in_their_order(route: Route) -> None:
    route.courier.put(notice("a", "warning"))
    route.courier.put(notice("b", "critical"))
    await until(lambda: route.door.taken == ["b", "a"])
    route.courier.put(notice("c"))
    await until(lambda: route.door.taken == ["b", "a", "c"])
    assert (route.results, route.events()) == ({("webhook", "ok"): 3}, [])


async def test_a_receiver_that_fails_is_told_once_and_tried_until_it_takes_them(route: Route) -> None:
    route.door.is_open = False
    route.courier.put(notice("a"))
    await until(lambda: route.door.attempts == 4)
    route.courier.put(notice("b"))
    route.door.is_open = True
    await until(lambda: sorted(route.door.taken) == ["a", "b"])
    await until(lambda: len(route.events()) == 2)
    failed, again = route.events()
    assert (failed["event"], failed["to"]) == ("alert_failed", "alerts.test")
    assert failed["detail"] == "it answered with status 500"
    assert (again["event"], again["attempts"]) == ("alerts_arrive_again", route.results["webhook", "failed"])
    assert route.pauses[:3] == [15.0, 60.0, 300.0]


async def test_a_more_urgent_message_shortens_the_pause(route: Route) -> None:
    route.factor = 1.0
    route.door.is_open = False
    route.courier.put(notice("a", "warning"))
    await until(lambda: route.pauses == [60.0])
    route.factor = 0.0
    route.door.is_open = True
    route.courier.put(notice("b", "critical"))
    await until(lambda: route.door.taken == ["b", "a"])
    assert route.pauses == [60.0, 5.0]


async def test_a_pause_ends_by_itself(route: Route) -> None:
    route.factor = 0.000_1
    route.door.is_open = False
    route.courier.put(notice("a"))
    await until(lambda: route.door.attempts == 3)


async def test_a_test_alert_waits_for_the_delivery_under_way(route: Route) -> None:
    route.door.slow = asyncio.Event()
    route.courier.put(notice("a"))
    await until(lambda: route.door.inside == 1)
    testing = asyncio.get_running_loop().create_task(route.courier.test(notice("test")))
    await asyncio.sleep(0)
    route.door.slow.set()
    assert await testing is None
    await until(lambda: sorted(route.door.taken) == ["a", "test"])
    assert route.door.most_inside == 1
    route.door.is_open = False
    assert await route.courier.test(notice("test")) == "it answered with status 500"
    assert route.events() == [], "an operator sees the answer"


async def test_a_test_that_arrives_ends_the_pause(route: Route) -> None:
    route.factor = 1.0
    route.door.is_open = False
    route.courier.put(notice("a", "warning"))
    await until(lambda: route.pauses == [60.0])
    assert await route.courier.test(notice("test")) == "it answered with status 500"
    route.door.is_open = True
    assert await route.courier.test(notice("test")) is None
    await until(lambda: route.door.taken == ["test", "a"])
