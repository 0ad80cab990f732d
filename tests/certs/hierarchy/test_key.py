"""The life of a key: every step from every state."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.hierarchy.key import IllegalStep, KeyTransition, ManagedKey, QuotaExhausted

NOW = datetime(2026, 5, 4, tzinfo=UTC)
KEY = ManagedKey("tickets", 3, NOW, quota=5)
ACTIVE = KEY.taken(KeyTransition.ACTIVATE, NOW + timedelta(1))
RETIRED = ACTIVE.taken(KeyTransition.RETIRE, NOW + timedelta(2))
DESTROYED = RETIRED.taken(KeyTransition.DESTROY, NOW + timedelta(3))


def test_the_whole_life() -> None:
    dates = (DESTROYED.created, DESTROYED.activated, DESTROYED.retired, DESTROYED.destroyed)
    assert dates == tuple(NOW + timedelta(days) for days in range(4))
    assert [key.state.value for key in (KEY, ACTIVE, RETIRED, DESTROYED)] == [
        "created",
        "active",
        "retired",
        "destroyed",
    ]
    assert [key.protects for key in (KEY, ACTIVE, RETIRED, DESTROYED)] == [False, True, False, False]
    assert [key.opens for key in (KEY, ACTIVE, RETIRED, DESTROYED)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("key", "step"),
    [
        (KEY, KeyTransition.RETIRE),
        (KEY, KeyTransition.DESTROY),
        (ACTIVE, KeyTransition.ACTIVATE),
        (ACTIVE, KeyTransition.DESTROY),
        (RETIRED, KeyTransition.ACTIVATE),
        (RETIRED, KeyTransition.RETIRE),
        *((DESTROYED, step) for step in KeyTransition),
    ],
)
def test_no_way_back_and_none_around(key: ManagedKey, step: KeyTransition) -> None:
    with pytest.raises(
        IllegalStep, match=f"key plexigate/tickets:3 is {key.state.value}: it cannot be taken to {step.value}"
    ):
        key.taken(step, NOW)


@given(st.lists(st.integers(-1_000, 1_000), min_size=3, max_size=3))
def test_dates_are_in_order_whatever_the_clock_does(days: list[int]) -> None:
    key = KEY
    for step, day in zip(KeyTransition, days, strict=True):
        key = key.taken(step, NOW + timedelta(day))
    assert key.created <= (key.activated or NOW) <= (key.retired or NOW) <= (key.destroyed or NOW)


def test_uses_against_the_quota() -> None:
    key = ACTIVE.used(4)
    assert key.uses == 4
    with pytest.raises(QuotaExhausted, match="was to be used 2 times; 1 are left"):
        key.used(2)
    assert key.used(1).uses == 5
    for other in (KEY, RETIRED, DESTROYED):
        with pytest.raises(QuotaExhausted, match="0 are left"):
            other.used(1)


def test_without_a_quota() -> None:
    key = ManagedKey("payload", 1, NOW).taken(KeyTransition.ACTIVATE, NOW)
    assert key.used(10**12).uses == 10**12


def test_ids() -> None:
    assert KEY.id == "plexigate/tickets:3"


def test_a_key_is_due_by_its_age_and_by_its_uses() -> None:
    since = NOW + timedelta(1)
    for key, days, is_due in (
        (ACTIVE, 89, False),
        (ACTIVE, 90, True),
        (ACTIVE, -89, False),
        (ACTIVE, -90, True),
        (ACTIVE.used(2), 0, False),
        (ACTIVE.used(3), 0, True),
        (KEY, 90, False),
        (RETIRED, 90, False),
        (ManagedKey("payload", 1, NOW).taken(KeyTransition.ACTIVATE, since).used(10**12), 0, False),
    ):
        assert key.is_due(since + timedelta(days), timedelta(90)) is is_due, (key, days)
