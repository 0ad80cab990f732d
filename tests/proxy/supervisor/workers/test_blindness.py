"""Who is blind for a token that is healthy, and how often the worker of a slot may be replaced
for that."""

import pytest

from proxy.supervisor.workers.blindness import Blindness

NOW = 1_000.0
WORKER = 4_000


def verdicts(blindness: Blindness, count: int) -> list[int]:
    found: list[int] = []
    for _ in range(count):
        found = blindness.found_well("plexi", [WORKER])
    return found


@pytest.fixture
def blindness() -> Blindness:
    return Blindness()


def test_a_worker_has_three_seconds_to_open_the_token_anew(blindness: Blindness) -> None:
    assert verdicts(blindness, 5) == []
    assert verdicts(blindness, 1) == [WORKER]
    assert verdicts(blindness, 1) == [WORKER], "as long as it is so"


def test_it_begins_anew_when_the_token_works_there(blindness: Blindness) -> None:
    verdicts(blindness, 5)
    blindness.forget_worker(WORKER, "plexi")
    blindness.forget_worker(WORKER, "plexi")
    assert verdicts(blindness, 5) == []


def test_it_is_news_once(blindness: Blindness) -> None:
    assert blindness.is_news(WORKER, "plexi")
    assert not blindness.is_news(WORKER, "plexi")
    assert blindness.is_news(WORKER, "spare")
    blindness.forget_worker(WORKER, "plexi")
    assert blindness.is_news(WORKER, "plexi")


def test_successors_are_replaced_more_and_more_rarely(blindness: Blindness) -> None:
    assert blindness.may_replace(0, "plexi", NOW)
    for after in (60.0, 180.0, 420.0):
        assert not blindness.may_replace(0, "plexi", NOW + after - 0.1)
        assert blindness.may_replace(0, "plexi", NOW + after)
    now = NOW + 420
    for _ in range(10):
        now += 3_600
        assert blindness.may_replace(0, "plexi", now), "an hour is the longest pause"
    assert blindness.may_replace(1, "plexi", NOW), "another slot has its own"


def test_a_token_that_was_away_is_another_matter(blindness: Blindness) -> None:
    assert blindness.may_replace(0, "plexi", NOW)
    blindness.forget("other")
    assert not blindness.may_replace(0, "plexi", NOW)
    blindness.forget("plexi")
    assert blindness.may_replace(0, "plexi", NOW)
