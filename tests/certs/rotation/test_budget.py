"""Lost keys do not use up what a public CA issues for the same names."""

from datetime import timedelta

import pytest

from certs.rotation.budget import MOST_ORDERS, budget_seconds
from tests.certs.authority import DAY, NOW

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("orders", "losses", "hours"),
    [
        ([], [], 0),  # an internal CA
        ([90 * DAY], [], 0),
        ([1 * HOUR, 1 * HOUR], [], 0),  # replicas that were just made
        ([30 * DAY, 0 * HOUR], [0 * HOUR], 1),
        ([30 * DAY, 1 * HOUR], [1 * HOUR], 0),
        ([3 * HOUR, 2 * HOUR], [3 * HOUR, 2 * HOUR], 10),
        ([5 * DAY, 4 * DAY, 1 * DAY], [5 * DAY, 4 * DAY, 1 * DAY], 24),
        ([8 * DAY, 1 * HOUR], [8 * DAY], 0),  # more than a week ago
        ([1 * DAY, 2 * DAY, 3 * DAY, 4 * DAY], [], 3 * 24),
        ([1 * DAY, 2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY], [], 3 * 24),
        ([-5 * MINUTE] * 4, [-5 * MINUTE], 7 * 24),
        ([-6 * MINUTE] * 4, [-6 * MINUTE], 0),  # the clock was ahead
        ([-365 * DAY] * 4, [-365 * DAY], 0),
    ],
)
def test_how_long_a_lost_key_waits(orders: list[timedelta], losses: list[timedelta], hours: float) -> None:
    ordered, lost = ([NOW - ago for ago in several] for several in (orders, losses))
    assert budget_seconds(ordered, lost, NOW) == hours * 3_600


def test_a_token_that_loses_each_key_at_once_gets_four_in_any_week() -> None:
    now, orders, waits = NOW, [NOW - 30 * DAY], list[float]()
    for _ in range(12):
        waits.append(budget_seconds(orders, orders[1:], now))
        now += timedelta(seconds=waits[-1])
        assert budget_seconds(orders, orders[1:], now) == 0
        orders.append(now)
    assert waits[:4] == [0, 3_600, 12 * 3_600, 2 * 86_400]
    weeks = [sum(one <= other < one + 7 * DAY for other in orders) for one in orders]
    assert max(weeks) == MOST_ORDERS
