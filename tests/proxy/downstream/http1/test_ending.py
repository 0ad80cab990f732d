"""How a connection ends when the process wants it to; more of it, with requests in flight, in
the tests of the connection."""

from dataclasses import replace

import pytest

from proxy.downstream.http1.ending import ClientEnding
from proxy.limits.idleness import Shown
from tests.fakes_http import Conversation, FakeStream


class FakeConnection:
    """A connection that notes what it is asked."""

    def __init__(self, talk: Conversation, *, is_idle: bool = True, is_new: bool = False) -> None:
        self.deadline = talk.loop.now + 75.0
        self.facts = talk.downstream.facts
        self.stream = FakeStream(talk.loop)
        self.is_idle, self.is_new = is_idle, is_new
        self.wants_end = self.is_ended = False
        self.waits_since: float | None = None
        self.abandoned: list[str] = []

    def end(self) -> None:
        """Note it."""
        self.is_ended = True

    def abandon(self, reason: str) -> None:
        """Note it."""
        self.abandoned.append(reason)


class Case:
    """A connection, and what the service knows of it."""

    def __init__(self, *, is_idle: bool = True, is_new: bool = False) -> None:
        self.talk = Conversation()
        self.connection = FakeConnection(self.talk, is_idle=is_idle, is_new=is_new)
        self.ending = ClientEnding(self.talk.service, self.connection)

    @property
    def seconds_left(self) -> float:
        """Until its deadline."""
        return self.connection.deadline - self.talk.loop.now


class TestDrain:
    def test_idle_one_ends_at_once(self) -> None:
        case = Case()
        case.ending.drain(30.0)
        assert case.connection.is_ended

    def test_one_that_answers_ends_after_that(self) -> None:
        case = Case(is_idle=False)
        case.ending.drain(30.0)
        assert (case.connection.is_ended, case.connection.wants_end) == (False, True)
        assert case.seconds_left == 75.0

    @pytest.mark.parametrize(("is_new", "gently", "seconds"), [(True, False, 2.0), (False, True, 15.0)])
    def test_new_one_and_each_one_gently_has_time_for_one_more_request(
        self, *, is_new: bool, gently: bool, seconds: float
    ) -> None:
        case = Case(is_new=is_new)
        case.ending.drain(30.0, gently=gently)
        assert (case.connection.is_ended, case.connection.wants_end) == (False, True)
        assert case.seconds_left == seconds

    def test_drain_gives_no_more_time_than_there_was(self) -> None:
        case = Case(is_new=True)
        case.connection.deadline = case.talk.loop.now + 1.0
        case.ending.drain(30.0)
        assert case.seconds_left == 1.0


class TestConfiguration:
    def test_one_that_is_still_allowed_goes_on(self) -> None:
        case = Case()
        case.ending.configuration_changed(30.0)
        assert not case.connection.wants_end

    def test_one_that_is_not_allowed_any_more_is_drained_even_if_it_is_new(self) -> None:
        case = Case(is_new=True)
        case.talk.service.runtime = replace(case.talk.service.runtime, policies={})
        case.ending.configuration_changed(30.0)
        assert case.connection.is_ended


class TestRoom:
    def test_it_is_idle_for_as_long_as_its_client_owes_something(self) -> None:
        case = Case()
        assert case.ending.idle is None
        case.connection.waits_since = 12.0
        idle = case.ending.idle
        assert idle is not None
        assert (idle.shown, idle.since, idle.listener) == (Shown.REQUEST, 12.0, "public")

    def test_shed_one_closes_cleanly(self) -> None:
        case = Case()
        case.ending.shed()
        assert case.connection.abandoned == ["closed at a connection limit before the request was complete"]
        assert case.connection.stream.ending == "end_at_once"

    def test_one_that_is_given_up_is_cut_for_the_reason(self) -> None:
        case = Case()
        case.ending.give_up("the drain is over")
        assert case.connection.abandoned == ["the drain is over"]
        assert case.connection.stream.ending == "cut"
