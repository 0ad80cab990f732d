"""Interim responses are counted, and forgiven with time."""

from proxy.upstream.pooling.interim import InterimResponses
from tests.http2_frames import Clock


def test_some_may_come_at_once_and_more_with_time() -> None:
    clock = Clock()
    interim = InterimResponses(2, clock)
    assert [interim.may_come() for _ in range(3)] == [True, True, False]
    clock.now += 2.0
    assert [interim.may_come() for _ in range(2)] == [True, False]


def test_the_next_request_begins_anew() -> None:
    interim = InterimResponses(1, Clock())
    assert interim.may_come()
    interim.count = 0.0
    assert interim.may_come()
