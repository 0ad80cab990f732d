"""How long the client of a stream may take: only what it owes has a deadline."""

from proxy.downstream.http2.patience import StreamPatience
from proxy.net.deadlines import NEVER
from tests.fakes_http2 import GET, Http2Conversation


class Case:
    """The patience with one stream, beside the one of the proxy."""

    def __init__(self) -> None:
        self.talk = Http2Conversation()
        self.talk.ask(GET)
        (self.stream,) = self.talk.streams()
        self.late: list[str] = []
        self.patience = StreamPatience(self.talk.connection, self.stream, self)

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


def waiting() -> Case:
    """A stream with a window, whose answer waits for its turn."""
    case = Case()
    case.stream.queued = 1_000
    case.patience.await_reader()
    return case


def advance(case: Case, seconds: int, per_second: int) -> None:
    """Let the client take so many bytes of the connection meanwhile."""
    for _ in range(seconds):
        case.talk.session._outbox.sent_bytes += per_second
        case.talk.advance(1.0)


def test_connection_that_moves_at_the_least_rate_excuses_a_stream_that_waits_for_its_turn() -> None:
    case = waiting()
    advance(case, 300, 110)
    assert case.late == []
    advance(case, 80, 90)
    assert len(case.late) > 0


def test_time_before_a_stall_does_not_count() -> None:
    case = waiting()
    advance(case, 300, 110)
    advance(case, 40, 0)
    assert case.late == []
    advance(case, 300, 110)
    assert case.late == []
    advance(case, 40, 0)
    assert len(case.late) > 0, "it had used most of its time before"


def test_stream_without_a_window_has_to_wait_only_for_its_bytes() -> None:
    case = waiting()
    case.stream.send_window = 0
    session = case.talk.session
    session._outbox.sent_bytes += 50_000
    case.stream.sent_bytes += 50_000
    case.talk.client.waiting_bytes = 50_000
    for _ in range(490):
        case.talk.advance(1.0)
        case.talk.client.waiting_bytes -= 102
    assert case.late == []
    advance(case, 80, 1_000)
    assert len(case.late) > 0, "its client gave no credit"


def test_bytes_on_their_way_have_to_move() -> None:
    case = waiting()
    case.stream.send_window = 0
    case.talk.session._outbox.sent_bytes += 50_000
    case.stream.sent_bytes += 50_000
    case.talk.client.waiting_bytes = 50_000
    for _ in range(70):
        assert case.late == []
        case.talk.advance(1.0)
        case.talk.client.waiting_bytes -= 71
        if case.late:
            break
    assert len(case.late) > 0


def test_transport_that_is_blocked_excuses_every_stream() -> None:
    case = waiting()
    case.stream.send_window = 0
    case.talk.connection.pause_writing()
    case.talk.client.waiting_bytes = 1_000_000
    for _ in range(4):  # in bursts, as the connection allows
        for _ in range(45):
            case.talk.advance(1.0)
        case.talk.client.waiting_bytes -= 10_000
    assert case.late == []
    assert case.talk.client.ending is None
    case.talk.connection.resume_writing()
    case.talk.client.waiting_bytes = 0
    case.talk.advance(30.0)
    assert case.late == []
    for _ in range(6):
        case.talk.advance(14.0)
    assert len(case.late) > 0


def test_nothing_is_watched_once_it_is_over() -> None:
    case = Case()
    case.stream.queued = 1_000
    case.patience.await_reader()
    assert case.patience.has_room(b"client", 10) is False
    assert case.patience.held_bytes == case.patience.waiting_bytes == 1_000
    case.patience.end()
    case.talk.advance(100.0)
    assert case.late == []
