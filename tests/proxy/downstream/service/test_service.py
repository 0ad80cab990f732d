"""What all connections of a loop share: a new configuration reaches them, and unused connections to servers end first."""

from dataclasses import replace
from pathlib import Path

from proxy.downstream.service.ledger import RequestLedger
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.downstream.service.runtime import HttpRuntime
from proxy.downstream.service.service import HttpService
from proxy.http.routing import RouteTable
from proxy.limits.shared import SharedTable
from proxy.net.deadlines import Deadlines
from proxy.observe.counts.counters import Counters
from proxy.observe.events.event import Event
from proxy.observe.events.process import SpoolFailed
from tests.fakes import FakeLoop
from tests.fakes_http import LIMITS, WALL_CLOCK, Conversation, changed, request, response
from tests.proxy.downstream.service.test_connections import FakeConnection


def service(told: list[Event]) -> HttpService:
    """A service without routes; its events are told."""
    loop = FakeLoop()
    runtime = HttpRuntime(RouteTable([]), LIMITS, logs_query=False, policies={})
    ledger = RequestLedger(lambda _: None, Counters(), SharedTable.private(), told.append)
    return HttpService(loop, Deadlines(loop), runtime, ledger, lambda: WALL_CLOCK)


class TestShedding:
    """Room for others."""

    def test_unused_connections_to_upstreams_go_too(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.answer(response(b"Content-Length: 2", body=b"ok"))
        assert talk.server.idle
        talk.advance(0.5)
        assert [one.listener for one in talk.service.shed(1)] == ["public"]
        assert not talk.server.idle
        talk.loop.settle()
        assert talk.service.count == 0

    def test_a_client_that_has_just_come_or_been_answered_is_left_in_peace(self) -> None:
        talk = Conversation()
        assert talk.service.shed(1) == []
        talk.advance(0.4)
        talk.receive(request())
        talk.answer(response(b"Content-Length: 2", b"Connection: close", body=b"ok"))
        talk.advance(0.4)
        assert talk.service.shed(1) == []
        talk.advance(0.11)
        assert len(talk.service.shed(1)) == 1

    def test_nothing_that_is_in_use_is_shed(self) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        assert talk.service.shed(1) == []
        server.receive(response(b"Content-Length: 2", body=b"ok"))
        assert talk.client.sent().endswith(b"ok")


class TestReview:
    """What a new configuration asks of each connection."""

    def test_a_turn_that_took_a_millisecond_leaves_the_rest_to_the_next(self) -> None:
        """Judging certificates takes that long; others are served in between."""
        shared, now = service([]), [0.0]
        shared.stopwatch = lambda: now[0]

        class Judged(FakeConnection):
            def configuration_changed(self, seconds: float) -> None:
                super().configuration_changed(seconds)
                now[0] += 0.000_4

        connections = [Judged() for _ in range(7)]
        for one in connections:
            shared.connections.opened(one)
        loop = shared.loop
        assert isinstance(loop, FakeLoop)
        shared.use(shared.runtime, 5.0)
        assert sum(len(one.changes) for one in connections) == 3
        loop.settle()
        assert [one.changes for one in connections] == [[5.0]] * 7


def test_spool_is_opened_where_it_is_wanted_and_its_failure_is_told(tmp_path: Path) -> None:
    told: list[Event] = []
    shared = service(told)
    runtime = shared.runtime
    shared.use_spool([str(tmp_path)])
    assert not shared.spool.is_open
    wanted = replace(runtime, limits=changed(LIMITS, response_buffer=BufferLimits(0, 0, 1_000)))
    shared.use(wanted, 30.0)
    assert shared.unread_answers.limits.spooled == 1_000
    shared.use_spool([str(tmp_path / "missing")])
    assert told == [SpoolFailed("No such file or directory")]
    shared.use_spool([str(tmp_path)])
    shared.use_spool([str(tmp_path / "missing")])
    assert (shared.spool.is_open, len(told)) == (True, 1)
    assert shared.rows()["spool"] == [{"held": 0, "shortages": 0}]
