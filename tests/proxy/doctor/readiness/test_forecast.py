"""When classical key exchange can be retired, from days of figures."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.doctor.readiness.forecast import DayCount, Forecast, Outlook, forecast

TODAY = date(2026, 11, 28)


def days(breaking: Sequence[int | None], handshakes: int = 1_000) -> dict[date, DayCount]:
    """The last of them is today. None: nothing was seen on that day."""
    first = TODAY - timedelta(days=len(breaking) - 1)
    return {
        first + timedelta(days=number): DayCount(handshakes if one is not None else 0, one or 0)
        for number, one in enumerate(breaking)
    }


def test_nothing_seen_is_not_known() -> None:
    assert forecast({}, TODAY) == Forecast(Outlook.UNKNOWN, "no handshake was seen")
    assert forecast(days([None, None]), TODAY).verdict is Outlook.UNKNOWN


def test_quiet_time_says_now() -> None:
    found = forecast(days([9, *[0] * 12]), TODAY)
    assert found.verdict is Outlook.NOW
    assert found.reason == "none of 12000 handshakes since 2026-11-17 would be refused (11 days)"
    assert forecast(days([0] * 8), TODAY).verdict is Outlook.NOW


@pytest.mark.parametrize(("seen", "handshakes"), [([0] * 5, 1_000), ([0] * 10, 9)])
def test_short_or_thin_quiet_time_is_not_enough(seen: list[int | None], handshakes: int) -> None:
    found = forecast(days(seen, handshakes), TODAY)
    assert found.verdict is Outlook.UNKNOWN
    assert "wait until 7 days and 100 handshakes" in found.reason


def test_falling_share_has_a_date() -> None:
    found = forecast(days([40] * 7 + [20] * 7), TODAY)
    # 2 % halves each week: below 0.1 % after 4.3 weeks
    assert (found.verdict, found.on) == (Outlook.LATER, "2026-12-29")
    assert found.doubts == []
    assert "2.00% of the handshakes of the last 7 days would be refused (140 of 7000), 4.00% in" in found.reason


@pytest.mark.parametrize(
    ("seen", "verdict", "says"),
    [
        ([20] * 7 + [20] * 7, Outlook.BLOCKED, "it does not fall"),
        ([20] * 7 + [40] * 7, Outlook.BLOCKED, "it does not fall"),
        ([201] * 7 + [200] * 7, Outlook.BLOCKED, "it hardly falls"),
        ([5] * 7 + [0] * 6 + [1], Outlook.DECIDE, "0.01%"),
        ([20] * 7, Outlook.UNKNOWN, "a trend needs 14 days"),
    ],
)
def test_other_shares(seen: list[int | None], verdict: Outlook, says: str) -> None:
    found = forecast(days(seen), TODAY)
    assert found.verdict is verdict
    assert says in found.reason
    assert found.on is None


def test_thin_data_are_doubted() -> None:
    found = forecast(days([1, None, *[0] * 4, 1], 10), TODAY)
    assert found.doubts == [
        "only 7 days of observation",
        "only 60 handshakes in the last 7 days",
        "only 2 of 60 handshakes would be refused: a trend of so few is chance",
    ]


def test_doubts_name_the_week_and_what_was_counted() -> None:
    """A week in which nothing was observed is not a week with few handshakes."""
    assert forecast(days([20] * 7, 377), TODAY).doubts == ["only 7 days of observation"]
    found = forecast(days([*[2] * 7, *[1] * 7], 142), TODAY)
    assert found.doubts == [
        "only 994 handshakes in the last 7 days",
        "only 994 handshakes in the 7 days before",
        "only 21 of 1988 handshakes would be refused: a trend of so few is chance",
    ]
    assert forecast(days([0] * 5, 377), TODAY).doubts == ["only 5 days of observation"]


@given(st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=30), st.integers(50, 100_000))
def test_every_history_has_a_verdict_with_a_reason(seen: list[int | None], handshakes: int) -> None:
    found = forecast(days(seen, handshakes), TODAY)
    assert found.reason
    assert (found.on is not None) == (found.verdict is Outlook.LATER)
    assert found.on is None or date.fromisoformat(found.on) >= TODAY
