"""Who is replaced because a token that is well does not work there."""

import pytest

from proxy.supervisor.blindness import Blindness

NOW = 1_000.0
WORKER = (0, 4_000)


def verdicts(blindness: Blindness, worker: tuple[int, int], count: int, now: float = NOW) -> list[int]:
    found: list[int] = []
    for _ in range(count):
        found += blindness.found_well("plexi", [worker], now)
    return found


@pytest.fixture
def blindness() -> Blindness:
    return Blindness()


def test_three_verdicts_are_enough(blindness: Blindness) -> None:
    assert verdicts(blindness, WORKER, 2) == []
    assert verdicts(blindness, WORKER, 1) == [4_000]


def test_it_begins_anew_when_the_token_works_there(blindness: Blindness) -> None:
    verdicts(blindness, WORKER, 2)
    blindness.forget_worker(4_000, "plexi")
    blindness.forget_worker(4_000, "plexi")
    assert verdicts(blindness, WORKER, 2) == []


def test_successors_are_replaced_more_and_more_rarely(blindness: Blindness) -> None:
    assert verdicts(blindness, WORKER, 3) == [4_000]
    for process, after in ((4_001, 60.0), (4_002, 180.0), (4_003, 420.0)):
        assert verdicts(blindness, (0, process), 5, NOW + after - 0.1) == []
        assert verdicts(blindness, (0, process), 1, NOW + after) == [process]
    now = NOW + 420
    for process in range(5_000, 5_010):
        now += 3_600
        assert verdicts(blindness, (0, process), 3, now) == [process], "an hour is the longest pause"
    assert verdicts(blindness, (1, 4_100), 3) == [4_100], "another slot has its own"


def test_a_token_that_was_away_is_another_matter(blindness: Blindness) -> None:
    verdicts(blindness, WORKER, 3)
    blindness.forget("other")
    assert verdicts(blindness, (0, 4_001), 3) == []
    blindness.forget("plexi")
    assert verdicts(blindness, (0, 4_001), 1) == [4_001]
