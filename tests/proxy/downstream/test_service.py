"""What all connections of a loop share: draining, request ids, the date."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxy.downstream.response_buffer import BufferLimits
from proxy.downstream.service import HttpRuntime, HttpService, RequestLedger
from proxy.http.routing import RouteTable
from proxy.limits.idleness import Idle, Shown
from proxy.limits.shared import SharedTable
from proxy.net.deadlines import Deadlines
from proxy.observe.counters import Counters
from proxy.observe.events.process import SpoolFailed
from tests.fakes import FakeLoop
from tests.fakes_http import DATE, LIMITS, WALL_CLOCK, Conversation, changed, request, response
from tests.proxy.observe.counting import REQUEST


@dataclass(eq=False)
class FakeConnection:
    """A connection that is asked to end."""

    asked: list[float] = field(default_factory=list)
    were_gentle: list[bool] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    idle: Idle | None = None
    is_shed: bool = False

    def shed(self) -> None:
        """Note it."""
        self.is_shed = True

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Note it."""
        self.asked.append(seconds)
        self.were_gentle.append(gently)

    def give_up(self, reason: str) -> None:
        """Note it."""
        self.given_up.append(reason)

    def configuration_changed(self, seconds: float) -> None:
        """Note it."""
        self.changes.append(seconds)


def waiting(since: float, shown: Shown = Shown.HANDSHAKE, listener: str = "public", client: bytes = b"some") -> Idle:
    """A connection that nobody uses."""
    return Idle(shown, since, listener, client)


class Clock:
    """A wall clock that a test sets."""

    now = WALL_CLOCK

    def __call__(self) -> float:
        """UNIX seconds."""
        return self.now


def service(clock: Clock | None = None) -> HttpService:
    """A service without routes."""
    loop = FakeLoop()
    runtime = HttpRuntime(RouteTable([]), LIMITS, logs_query=False, policies={})
    return HttpService(
        loop,
        Deadlines(loop),
        runtime,
        RequestLedger(lambda _: None, Counters(), SharedTable.private()),
        clock or Clock(),
    )


class TestDrain:
    """The end of a process, as its connections see it."""

    def test_every_connection_is_asked_and_waited_for(self) -> None:
        shared, first, second = service(), FakeConnection(), FakeConnection()
        shared.opened(first, first)
        shared.opened(second, second)
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
        shared.opened(early, early)
        shared.closed(early)
        shared.opened(late, late)
        assert not shared.drain(30.0).is_set()
        assert early.asked == []

    def test_connection_that_comes_during_a_drain_is_asked_as_well(self) -> None:
        shared, first, late = service(), FakeConnection(), FakeConnection()
        shared.opened(first, first)
        shared.drain(30.0)
        shared.opened(late, late)
        assert late.asked == [30.0]

    def test_those_that_are_left_are_given_up_with_a_reason(self) -> None:
        shared, left = service(), FakeConnection()
        shared.opened(left, left)
        shared.drain(30.0)
        shared.give_up("time is over")
        assert left.given_up == ["time is over"]

    def test_websocket_is_asked_and_waited_for_as_well(self) -> None:
        shared, early, late = service(), FakeConnection(), FakeConnection()
        shared.tunnel_opened(early)
        quiet = shared.drain(30.0)
        shared.tunnel_opened(late)
        assert (early.asked, late.asked, shared.count) == ([30.0], [30.0], 2)
        shared.closed(early)
        assert not quiet.is_set()
        shared.give_up("time is over")
        assert (early.given_up, late.given_up) == ([], ["time is over"])
        shared.closed(late)
        assert quiet.is_set()

    def test_connection_may_end_while_it_is_asked(self) -> None:
        shared = service()

        class Idle(FakeConnection):
            def drain(self, seconds: float, *, gently: bool = False) -> None:
                super().drain(seconds, gently=gently)
                shared.closed(self)

        for _ in range(3):
            one = Idle()
            shared.opened(one, one)
        assert shared.drain(1.0).is_set()


class TestShedding:
    """Room for others."""

    def test_those_that_were_idle_the_longest_go_first_and_those_in_use_stay(self) -> None:
        shared = service()
        connections = [FakeConnection(idle=one) for one in (waiting(30.0), None, waiting(10.0), waiting(20.0), None)]
        for connection in connections:
            shared.opened(connection, connection)
        assert shared.count == 5
        assert shared.shed(2) == [waiting(10.0), waiting(20.0)]
        assert [connection.is_shed for connection in connections] == [False, False, True, True, False]

    def test_those_that_have_shown_less_go_before(self) -> None:
        shared = service()
        several = [waiting(10.0), waiting(20.0, shown=Shown.NOTHING), waiting(15.0, shown=Shown.HELLO)]
        for one in several:
            shared.opened(object(), FakeConnection(idle=one))
        assert shared.shed(2) == [several[1], several[2]]

    def test_for_a_listener_or_one_of_its_clients_only_theirs_go_that_are_connected(self) -> None:
        shared = service()
        ours, theirs = waiting(10.0), waiting(9.0, client=b"else")
        for one in (ours, theirs, waiting(8.0, listener="internal"), waiting(7.0, shown=Shown.HELLO)):
            shared.opened(object(), FakeConnection(idle=one))
        assert shared.count_idle("public") == 2
        assert shared.shed_idle(5, "public", b"else") == [theirs]
        assert shared.shed_idle(1, "internal") == [waiting(8.0, listener="internal")]
        assert shared.shed_idle(1, "public") == [theirs]

    def test_silent_tunnels_go_for_their_own_client_too_and_those_in_use_for_others_alone(self) -> None:
        shared = service()
        silent, busy = waiting(9.0, Shown.SILENCE), [waiting(1.0, Shown.MESSAGES)] * 7
        for one in (silent, *busy):
            shared.tunnel_opened(FakeConnection(idle=one))
        assert shared.count_idle("public") == 1
        assert shared.shed_idle(9, "public", b"some") == [silent]
        assert shared.shed_idle(1, "public") == [silent]
        assert shared.shed_idle(9, "public") == [silent, *busy]

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


class TestReview:
    """What a new configuration asks of each connection."""

    def test_a_turn_that_took_a_millisecond_leaves_the_rest_to_the_next(self) -> None:
        """Judging certificates takes that long; others are served in between."""
        shared, now = service(), [0.0]
        shared.stopwatch = lambda: now[0]

        class Judged(FakeConnection):
            def configuration_changed(self, seconds: float) -> None:
                super().configuration_changed(seconds)
                now[0] += 0.000_4

        connections = [Judged() for _ in range(7)]
        for one in connections:
            shared.opened(one, one)
        loop = shared.loop
        assert isinstance(loop, FakeLoop)
        shared.use(shared.runtime, 5.0)
        assert sum(len(one.changes) for one in connections) == 3
        loop.settle()
        assert [one.changes for one in connections] == [[5.0]] * 7


def test_of_a_busy_route_one_in_so_many_successes_is_logged() -> None:
    talk = Conversation()
    talk.service.runtime = replace(talk.service.runtime, log_samples={"chat.test/": 3})
    for status in (200, 204, 304, 404, 200, 200):
        talk.service.request_over(replace(REQUEST, route="chat.test/", status=status, error=None))
    talk.service.request_over(replace(REQUEST, route="chat.test/other", status=200, error=None))
    talk.service.request_over(replace(REQUEST, route="chat.test/", status=101, error=None, messages=(1, 1)))
    logged = [(record.status, record.sample) for record in talk.records]
    assert logged == [(200, 3), (404, 0), (200, 3), (200, 0), (101, 0)]
    rows = talk.service.counters.snapshot()["requests"]
    assert sum(row["count"] for row in rows) == 8, "all are counted"


def test_spool_is_opened_where_it_is_wanted_and_its_failure_is_told(tmp_path: Path) -> None:
    told: list[SpoolFailed] = []
    loop = FakeLoop()
    runtime = HttpRuntime(RouteTable([]), LIMITS, logs_query=False, policies={})
    ledger = RequestLedger(lambda _: None, Counters(), SharedTable.private(), log_spool=told.append)
    shared = HttpService(loop, Deadlines(loop), runtime, ledger, Clock())
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
