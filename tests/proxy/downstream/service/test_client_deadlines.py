"""The deadlines of one client, by the limits of the moment."""

from dataclasses import dataclass, replace

from proxy.downstream.service.client_deadlines import ClientDeadlines, for_last_request
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.net.deadlines import NEVER
from tests.fakes_http import LIMITS, Conversation, changed


@dataclass
class Stream:
    """What a client has to take."""

    waiting_bytes: int = 1_000
    held_bytes: int = 0


def test_body_has_a_time_that_its_bytes_prolong() -> None:
    talk = Conversation()
    patience, now = ClientDeadlines(talk.service, Stream()), talk.loop.now
    assert patience.for_body(NEVER, 0) == now + 30
    assert patience.body_reason == "body_timeout"
    talk.advance(10)
    assert patience.for_body(now + 30, 100) == now + 31
    assert patience.body_reason == "body_too_slow"


def test_body_that_was_not_waited_for_begins_anew() -> None:
    talk = Conversation()
    patience = ClientDeadlines(talk.service, Stream())
    patience.for_body(NEVER, 0)
    talk.advance(10)
    assert patience.for_body(NEVER, 100) == talk.loop.now + 30
    assert patience.for_body(talk.loop.now + 5, 0) == talk.loop.now + 30


def test_reader_has_its_time() -> None:
    talk = Conversation()
    stream = Stream()
    patience, now = ClientDeadlines(talk.service, stream), talk.loop.now
    patience.reader_took_all()
    assert patience.for_reader(now) == now + 60
    talk.advance(20)
    patience.reader_took_all()
    assert patience.for_reader(now + 100) == now + 140
    assert patience.for_reader(now + 140) == now + 140
    assert patience.reader_reason.startswith("reader_timeout")


def test_reader_has_room_until_it_has_taken_all() -> None:
    limits = changed(LIMITS, response_buffer=BufferLimits(most=100, total=1_000))
    talk = Conversation(limits=limits)
    stream = Stream()
    patience, budget = ClientDeadlines(talk.service, stream), talk.service.response_budget
    stream.held_bytes = 90
    assert patience.has_room(b"client", 90)
    assert budget.held == 90
    stream.held_bytes = 100
    assert not patience.has_room(b"client", 10)
    patience.hold(b"client")
    assert budget.held == 100
    patience.reader_took_all()
    assert budget.held == 0


def test_what_is_buffered_for_a_reader_is_not_what_it_took() -> None:
    talk = Conversation()
    stream = Stream()
    patience, now = ClientDeadlines(talk.service, stream), talk.loop.now
    assert patience.for_reader(now) == now + 60
    stream.waiting_bytes += 500
    patience.has_room(b"client", 500)
    assert patience.for_reader(now + 60) == now + 60


def test_last_request_of_a_drain_is_waited_for_in_bounds() -> None:
    assert for_last_request(30.0, gently=True) == 15.0
    assert for_last_request(30.0, gently=False) == 2.0
    assert for_last_request(1.0, gently=False) == 1.0


def test_a_body_has_the_limits_of_the_moment_when_it_begins() -> None:
    talk = Conversation()
    patience = ClientDeadlines(talk.service, Stream())
    deadline = patience.for_body(NEVER, 10)
    talk.service.runtime = replace(talk.service.runtime, limits=changed(LIMITS, body_idle_seconds=5.0))
    assert patience.for_body(deadline, 10) == talk.loop.now + 30
    assert patience.for_body(NEVER, 10) == talk.loop.now + 5
