"""How long the client of a stream may take: only what it owes has a deadline."""

from proxy.downstream.h2_patience import StreamPatience
from proxy.net.deadlines import NEVER
from tests.fakes_http2 import GET, Http2Conversation


class Case:
    """The patience with one stream, beside the one of the proxy."""

    def __init__(self) -> None:
        self.talk = Http2Conversation()
        self.talk.ask(GET)
        (self.stream,) = self.talk.streams()
        self.late: list[str] = []
        self.patience = StreamPatience(self.talk.service, self.talk.connection.session, self.stream, self)

    def body_is_late(self, reason: str) -> None:
        """Note it."""
        self.late.append(reason)

    def reader_is_late(self, reason: str) -> None:
        """Note it."""
        self.late.append(reason)


def test_body_that_stops_is_late() -> None:
    case = Case()
    case.patience.await_body(0, is_due=True)
    case.talk.advance(29.0)
    case.patience.await_body(3_000, is_due=True)
    case.talk.advance(29.0)
    assert case.late == []
    case.talk.advance(2.0)
    assert case.late == ["body_timeout"]
    assert case.patience.deadline == NEVER


def test_nothing_is_owed_while_the_proxy_takes_nothing() -> None:
    case = Case()
    case.patience.await_body(0, is_due=True)
    case.patience.await_body(10, is_due=False)
    case.talk.advance(100.0)
    assert case.late == []


def test_reader_is_waited_for_before_the_body() -> None:
    case = Case()
    case.stream.queued = 1_000
    case.patience.await_reader()
    case.patience.await_reader()
    deadline = case.patience.deadline
    case.patience.await_body(10, is_due=True)
    assert case.patience.deadline == deadline
    for _ in range(4):
        case.talk.advance(30.0)
    assert len(case.late) > 0
    assert case.late[0].startswith("reader_timeout")


def test_nothing_is_watched_once_it_is_over() -> None:
    case = Case()
    case.stream.queued = 1_000
    case.patience.await_reader()
    assert case.patience.has_room(b"client", 10) is False
    assert case.patience.held_bytes == case.patience.waiting_bytes == 1_000
    case.patience.end()
    case.talk.advance(100.0)
    assert case.late == []
