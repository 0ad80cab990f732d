"""Where a request is tried, elsewhere, and once more."""

from typing import Any

import pytest

from config.upstream import Balance, SameSite
from proxy.downstream.attempts import Attempts
from proxy.upstream.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.sticky import CookieSettings
from proxy.upstream.upstream import RequestFacts, Upstream
from tests.fakes import FakeLoop
from tests.fakes_http import WALL_CLOCK, FakeServer, upstream

FAILURE = UpstreamFailure(UpstreamFault.UNREACHABLE, "tried")


def facts() -> RequestFacts:
    return RequestFacts(b"192.0.2.7", [], WALL_CLOCK)


def several(count: int, **rules: Any) -> Upstream:
    loop = FakeLoop()
    return upstream(*(FakeServer(loop, str(number)) for number in range(count)), **rules)


def test_each_server_is_tried_once() -> None:
    attempts = Attempts(several(3), facts)
    tried = {attempts.choose(), attempts.elsewhere(FAILURE), attempts.elsewhere(FAILURE)}
    assert len(tried) == 3
    with pytest.raises(UpstreamFailure) as caught:
        attempts.elsewhere(FAILURE)
    assert caught.value is FAILURE


def test_server_that_is_busy_is_not_left_for_another() -> None:
    attempts = Attempts(several(2), facts)
    attempts.choose()
    with pytest.raises(UpstreamFailure) as caught:
        attempts.elsewhere(UpstreamFailure(UpstreamFault.BUSY))
    assert caught.value.fault is UpstreamFault.BUSY


def test_budget_that_is_spent_is_told() -> None:
    attempts = Attempts(several(2, retries_per_second=0.0), facts)
    attempts.choose()
    with pytest.raises(UpstreamFailure, match="tried; the retry budget is spent"):
        attempts.elsewhere(FAILURE)
    assert not attempts.may_repeat()


def test_server_that_went_down_meanwhile_is_none() -> None:
    both = several(2)
    attempts = Attempts(both, facts)
    chosen = attempts.choose()
    for server in both.servers:
        if server is not chosen:
            both.apply_health(server.name, is_up=False)
    with pytest.raises(UpstreamFailure):
        attempts.elsewhere(FAILURE)


def test_request_is_repeated_once_and_may_go_to_the_same_server() -> None:
    attempts = Attempts(several(1), facts)
    chosen = attempts.choose()
    assert attempts.may_repeat()
    assert attempts.choose() is chosen
    assert not attempts.may_repeat()


def test_upstream_that_is_down_says_when_to_come_again() -> None:
    down = several(1, recovery_seconds=7.0)
    down.apply_health("0", is_up=False)
    attempts = Attempts(down, facts)
    assert attempts.choose() is None
    refusal = attempts.nowhere()
    assert (refusal.status, refusal.retry_after) == (503, 7)


def test_facts_are_asked_for_only_where_the_choice_depends_on_them() -> None:
    def never() -> RequestFacts:
        raise AssertionError

    assert Attempts(several(2), never).choose() is not None
    cookie = CookieSettings("__Host-chat", bytes(32), 1_000, SameSite.LAX)
    attempts = Attempts(several(2, balance=Balance.STICKY_COOKIE, cookie=cookie), facts)
    assert attempts.choose() is not None
    assert attempts.binding.startswith(b"Set-Cookie: __Host-chat=")
