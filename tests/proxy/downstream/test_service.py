"""What all connections of a loop share: draining, request ids, the date."""

import re
from dataclasses import dataclass, field

from proxy.deadlines import Deadlines
from proxy.downstream.service import HttpRuntime, HttpService
from proxy.http.routing import RouteTable
from tests.fakes import FakeLoop
from tests.fakes_http import DATE, LIMITS, WALL_CLOCK


@dataclass(eq=False)
class FakeConnection:
    """A connection that is asked to end."""

    asked: list[float] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)

    def drain(self, seconds: float) -> None:
        """Note it."""
        self.asked.append(seconds)

    def give_up(self, reason: str) -> None:
        """Note it."""
        self.given_up.append(reason)


class Clock:
    """A wall clock that a test sets."""

    now = WALL_CLOCK

    def __call__(self) -> float:
        """UNIX seconds."""
        return self.now


def service(clock: Clock | None = None) -> HttpService:
    """A service without routes."""
    loop = FakeLoop()
    runtime = HttpRuntime(RouteTable([]), LIMITS, logs_query=False)
    return HttpService(loop, Deadlines(loop), runtime, lambda _: None, clock or Clock())


class TestDrain:
    """The end of a process, as its connections see it."""

    def test_every_connection_is_asked_and_waited_for(self) -> None:
        shared, first, second = service(), FakeConnection(), FakeConnection()
        shared.opened(first)
        shared.opened(second)
        quiet = shared.drain(30.0)
        assert (first.asked, second.asked) == ([30.0], [30.0])
        assert shared.is_draining
        shared.closed(first)
        assert not quiet.is_set()
        shared.closed(second)
        assert quiet.is_set()

    def test_without_connections_it_is_quiet_at_once(self) -> None:
        assert service().drain(30.0).is_set()

    def test_connections_that_end_before_do_not_make_it_quiet(self) -> None:
        shared, early, late = service(), FakeConnection(), FakeConnection()
        shared.opened(early)
        shared.closed(early)
        shared.opened(late)
        assert not shared.drain(30.0).is_set()
        assert early.asked == []

    def test_connection_that_comes_during_a_drain_is_asked_as_well(self) -> None:
        shared, first, late = service(), FakeConnection(), FakeConnection()
        shared.opened(first)
        shared.drain(30.0)
        shared.opened(late)
        assert late.asked == [30.0]

    def test_those_that_are_left_are_given_up_with_a_reason(self) -> None:
        shared, left = service(), FakeConnection()
        shared.opened(left)
        shared.drain(30.0)
        shared.give_up("time is over")
        assert left.given_up == ["time is over"]

    def test_connection_may_end_while_it_is_asked(self) -> None:
        shared = service()

        class Idle(FakeConnection):
            def drain(self, seconds: float) -> None:
                super().drain(seconds)
                shared.closed(self)

        for _ in range(3):
            shared.opened(Idle())
        assert shared.drain(1.0).is_set()


def test_request_ids_are_unique_and_safe_in_fields_and_logs() -> None:
    shared = service()
    made = [shared.new_request_id() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(re.fullmatch(rb"[0-9a-f]{16}-[0-9a-f]+", one) for one in made)
    assert service().new_request_id() not in made


def test_date_is_that_of_the_second_in_gmt() -> None:
    clock = Clock()
    shared = service(clock)
    assert shared.date() == DATE
    clock.now += 0.5
    assert shared.date() == DATE
    clock.now += 0.5
    assert shared.date() == DATE.replace(b"12:00:00", b"12:00:01")
