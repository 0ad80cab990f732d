"""Credit for bodies: at once for what is handed on, within one bound for what is kept."""

import pytest

from proxy.downstream.http2.credit import BodyCredit, Held
from tests.fakes_http2 import POST, Http2Conversation


class Case:
    """Bodies of two streams that share a bound of 100 bytes."""

    def __init__(self) -> None:
        self.talk = Http2Conversation()
        for _ in range(2):
            self.talk.ask(POST, b"", ends=False)
        session = self.talk.connection.session
        self.held = Held(100)
        self.flushes = 0
        streams = self.talk.streams()
        self.first, self.second = (BodyCredit(session, stream, self.held, self) for stream in streams)

    def flush_soon(self) -> None:
        """Count it."""
        self.flushes += 1


def test_what_is_handed_on_has_credit_at_once() -> None:
    case = Case()
    assert case.first.receive(1_000, is_kept=False) is False
    case.first.settle()
    assert (case.first.owed, case.flushes, case.held.total) == (0, 1, 0)


def test_server_that_takes_nothing_holds_the_credit_back() -> None:
    case = Case()
    case.first.is_paused = True
    case.first.receive(10, is_kept=False)
    case.first.settle()
    assert case.first.owed == 10
    case.first.is_paused = False
    case.first.settle()
    assert case.first.owed == 0


def test_half_of_the_bound_ends_gathering_and_all_of_it_ends_credit() -> None:
    case = Case()
    assert case.first.receive(50, is_kept=True) is False
    assert case.first.receive(1, is_kept=True) is True
    case.first.settle()
    assert case.first.owed == 0
    assert case.second.receive(50, is_kept=True) is True
    case.second.settle()
    assert (case.second.owed, case.held.has_room(case.second)) == (50, False)


def test_end_that_comes_alone_is_no_body_that_is_kept() -> None:
    case = Case()
    assert case.first.receive(0, is_kept=True) is False
    case.second.receive(101, is_kept=True)
    case.second.settle()
    assert case.second.owed == 0, "it is the oldest"


def test_oldest_body_gets_credit_whatever_the_others_keep() -> None:
    case = Case()
    for _ in range(3):
        case.first.receive(50, is_kept=True)
        case.first.settle()
        case.second.receive(50, is_kept=True)
        case.second.settle()
    assert (case.first.owed, case.second.owed) == (0, 150 - 50)
    case.first.taken()
    assert case.second.owed == 0


@pytest.mark.parametrize("ends", [True, False])
def test_what_is_let_go_gives_the_others_their_credit(*, ends: bool) -> None:
    case = Case()
    case.first.receive(90, is_kept=True)
    case.first.settle()
    case.second.receive(90, is_kept=True)
    case.second.settle()
    assert case.second.owed == 90
    if ends:
        case.first.end()
    else:
        case.first.taken()
    assert (case.held.total, case.second.owed) == (90, 0)
    case.second.end()
    assert case.held.total == 0


def test_what_was_not_kept_is_taken_without_a_release() -> None:
    case = Case()
    case.second.receive(40, is_kept=True)
    case.first.receive(10, is_kept=False)
    case.first.taken()
    assert (case.first.owed, case.held.total) == (0, 40)
    case.second.taken()
    assert case.held.total == 0
