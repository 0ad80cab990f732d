"""The plan of ticket secrets: what serves at which time, and how the leader extends it."""

import itertools
import math
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.supervisor.membership.kinds.keys.ticket_plan import AHEAD_SECONDS, NOTICE_SECONDS, PlannedKey, TicketPlan
from proxy.tls.openssl.tickets import TicketSecrets

NOW = 1_000_000.0
PERIOD = 43_200.0


def secrets() -> Callable[[], bytes]:
    """Secrets that can be told apart."""
    numbers = itertools.count(1)
    return lambda: next(numbers).to_bytes(32)


FIRST = TicketPlan.begun(bytes(32), NOW, 1)
PLAN = FIRST.extended(NOW, PERIOD, secrets())


def secret(number: int) -> bytes:
    return number.to_bytes(32)


def test_a_day_is_planned_and_nothing_is_added_until_that_is_less() -> None:
    assert [one.begins - NOW for one in PLAN.keys] == [0, PERIOD, 2 * PERIOD, 3 * PERIOD]
    assert PLAN.until == NOW + 3 * PERIOD > NOW + AHEAD_SECONDS
    assert PLAN.extended(NOW + PERIOD - 1, PERIOD, secrets()) is PLAN
    longer = PLAN.extended(NOW + PERIOD, PERIOD, secrets())
    assert longer.keys[:-1] == PLAN.keys
    assert longer.until == NOW + 4 * PERIOD


@pytest.mark.parametrize(
    ("after", "expected", "left"),
    [
        (-1.0, TicketSecrets(secret(0), None, secret(1)), 1.0),
        (0.0, TicketSecrets(secret(0), None, secret(1)), PERIOD),
        (PERIOD - 1, TicketSecrets(secret(0), None, secret(1)), 1.0),
        (PERIOD, TicketSecrets(secret(1), secret(0), secret(2)), PERIOD),
        (3 * PERIOD, TicketSecrets(secret(3), secret(2)), math.inf),
        (9 * PERIOD, TicketSecrets(secret(3), secret(2)), math.inf),
    ],
)
def test_each_secret_serves_from_its_time_on(after: float, expected: TicketSecrets, left: float) -> None:
    found, since = PLAN.at(NOW + after)
    assert found == expected
    assert since == next(one.begins for one in PLAN.keys if one.secret == expected.current)
    assert PLAN.until_change(NOW + after) == (1.0 if after < 0 else left)


def test_after_a_long_silence_the_next_secret_comes_soon_and_old_ones_go() -> None:
    now = NOW + 30 * PERIOD
    plan = PLAN.extended(now, PERIOD, lambda: secret(9))
    assert [one.begins - now for one in plan.keys[-3:]] == [
        NOTICE_SECONDS,
        NOTICE_SECONDS + PERIOD,
        NOTICE_SECONDS + 2 * PERIOD,
    ]
    assert [one.secret for one in plan.keys[:-3]] == [secret(1), secret(2), secret(3)]


def test_with_a_long_period_one_key_is_ahead_and_with_a_short_one_not_too_many() -> None:
    long = FIRST.extended(NOW, 168 * 3_600.0, secrets())
    assert len(long.keys) == 2
    assert long.extended(NOW + 144 * 3_600.0, 168 * 3_600.0, secrets()) is not long
    short = FIRST.extended(NOW, 36.0, secrets())
    assert len(short.keys) == 100
    assert short.extended(NOW + 60, 36.0, secrets()) is not short


@given(st.lists(st.tuples(st.floats(0, 400_000), st.sampled_from([36.0, 3_600.0, PERIOD, 604_800.0])), max_size=12))
def test_nodes_with_any_of_two_plans_in_a_row_open_what_the_other_seals(steps: list[tuple[float, float]]) -> None:
    """At any time, also if one clock is behind by less than a period, and one has heard of nothing since the last plan."""
    plan, now, new = FIRST, NOW, secrets()
    for seconds, period in steps:
        now += seconds
        longer = plan.extended(now, period, new)
        begins = [one.begins for one in longer.keys]
        assert begins == sorted(set(begins))
        mine, _ = longer.at(now)
        theirs, _ = plan.at(now - min(30.0, period / 2))
        assert {mine.current, mine.previous, mine.following} & {theirs.current}
        assert theirs.current in {mine.current, mine.previous}
        assert mine.current in {theirs.current, theirs.following}
        plan = longer


def test_it_is_written_and_read() -> None:
    assert TicketPlan.from_json(PLAN.as_json()) == PLAN


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"secret": "00", "begins": 1.0}],
        [{"secret": "zz" * 32, "begins": 1.0}],
        [{"secret": "00" * 32}],
        [{"secret": "00" * 32, "begins": None}],
        [{"secret": "00" * 32, "begins": 2.0}, {"secret": "01" * 32, "begins": 2.0}],
        [{"secret": "00" * 32, "begins": 2.0}, {"secret": "01" * 32, "begins": 1.0}],
    ],
)
def test_nothing_else_is_read(rows: list[Mapping[str, object]]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        TicketPlan.from_json({"epoch": 1, "keys": rows})


def test_secrets_are_not_shown() -> None:
    assert repr(secret(1)) not in repr(PlannedKey(secret(1), NOW))
