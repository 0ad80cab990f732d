"""How many requests may be tried again."""

from proxy.upstream.servers.retry_budget import RetryBudget


def taken(budget: RetryBudget, requests: int, now: float) -> int:
    """How many retries there are in a row."""
    count = 0
    while budget.take(requests, now):
        count += 1
    return count


def test_a_rate_is_guaranteed_and_saved_up_for_ten_seconds() -> None:
    budget = RetryBudget(0.0, 2.0, now=100.0)
    assert taken(budget, 0, 100.0) == 20
    assert taken(budget, 5_000, 101.0) == 2
    assert taken(budget, 5_000, 101.4) == 0
    assert taken(budget, 5_000, 101.5) == 1
    assert taken(budget, 5_000, 1_000.0) == 20


def test_requests_earn_a_share_of_retries() -> None:
    budget = RetryBudget(20.0, 1.0, now=0.0)
    assert taken(budget, 0, 0.0) == 10
    assert taken(budget, 5, 0.0) == 1
    assert taken(budget, 9, 0.0) == 0
    assert taken(budget, 10, 0.0) == 1


def test_share_without_a_rate_adds_up_to_one_at_least() -> None:
    budget = RetryBudget(10.0, 0.0, now=0.0)
    assert taken(budget, 0, 0.0) == 1
    assert taken(budget, 9, 50.0) == 0
    assert taken(budget, 10, 50.0) == 1


def test_nothing_is_tried_again_without_a_budget() -> None:
    assert not RetryBudget(0.0, 0.0, now=0.0).take(1_000, 1_000.0)
