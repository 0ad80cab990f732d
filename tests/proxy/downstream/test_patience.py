"""The deadlines of one client, by the limits of the moment."""

from dataclasses import dataclass, replace

from proxy.deadlines import NEVER
from proxy.downstream.patience import Patience
from tests.fakes_http import LIMITS, Conversation, changed


@dataclass
class Backlog:
    """What a client has to take."""

    waiting_bytes: int = 1_000


def test_body_has_a_time_that_its_bytes_prolong() -> None:
    talk = Conversation()
    patience, now = Patience(talk.service, Backlog()), talk.loop.now
    assert patience.for_body(NEVER, 0) == now + 30
    assert patience.body_reason == "body_timeout"
    talk.advance(10)
    assert patience.for_body(now + 30, 100) == now + 31
    assert patience.body_reason == "body_too_slow"


def test_body_that_was_not_waited_for_begins_anew() -> None:
    talk = Conversation()
    patience = Patience(talk.service, Backlog())
    patience.for_body(NEVER, 0)
    talk.advance(10)
    assert patience.for_body(NEVER, 100) == talk.loop.now + 30
    assert patience.for_body(talk.loop.now + 5, 0) == talk.loop.now + 30


def test_reader_has_its_time() -> None:
    talk = Conversation()
    backlog = Backlog()
    patience, now = Patience(talk.service, backlog), talk.loop.now
    patience.reader_took_all()
    assert patience.for_reader(now) == now + 60
    talk.advance(20)
    patience.reader_took_all()
    assert patience.for_reader(now + 100) == now + 140
    assert patience.for_reader(now + 140) == now + 140
    assert patience.reader_reason.startswith("reader_timeout")


def test_a_body_has_the_limits_of_the_moment_when_it_begins() -> None:
    talk = Conversation()
    patience = Patience(talk.service, Backlog())
    deadline = patience.for_body(NEVER, 10)
    talk.service.runtime = replace(talk.service.runtime, limits=changed(LIMITS, body_idle_seconds=5.0))
    assert patience.for_body(deadline, 10) == talk.loop.now + 30
    assert patience.for_body(NEVER, 10) == talk.loop.now + 5
