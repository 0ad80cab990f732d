"""One notation for durations, and one parser."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.schema import CookieConfig, LimitsConfig, ListenerLimitsConfig
from config.tables.rotation import RotationConfig
from config.values.addresses import Refused
from config.values.durations import parse_duration, unit_of, written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("0s", 0), ("45s", 45), ("30m", 1_800), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600)],
)
def test_a_time_is_a_whole_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", [90, 90.0, "90", "d", "-1d", "1y", "1.5d", "1h30m", "99999999w", "1d ", "1D", "01s", "\u0661s", True, None]
)
def test_all_else_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="a time such as"):
        parse_duration(value)


@given(st.integers(0, 10**9).map(lambda number: timedelta(milliseconds=number)))
def test_what_is_written_is_read_back(span: timedelta) -> None:
    assert parse_duration(written(span)) == span


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=1_500), "1500ms"),
        (timedelta(microseconds=1_700), "2ms"),
        (timedelta(seconds=75), "75s"),
        (timedelta(minutes=90), "90m"),
        (timedelta(hours=24), "1d"),
        (timedelta(weeks=1), "7d"),
    ],
)
def test_a_time_is_written_in_the_longest_unit_that_fits(span: timedelta, text: str) -> None:
    assert written(span) == text


def test_a_field_counts_in_its_own_unit() -> None:
    table = {"head_timeout": "1500ms", "rotate_tls_ticket_key_after": "90m"}
    limits = LimitsConfig.model_validate(table)
    assert (limits.head_seconds, limits.tls_ticket_rotation_hours) == (1.5, 1.5)
    assert ListenerLimitsConfig.model_validate({"handshake_timeout": "2m"}).handshake_seconds == 120.0
    assert CookieConfig.model_validate({"secret": "s", "max_age": "1d"}).seconds == 86_400
    fields = LimitsConfig.model_fields
    assert [unit_of(fields[name]) for name in ("head_seconds", "tls_ticket_rotation_hours", "head_bytes")] == [
        timedelta(seconds=1),
        timedelta(hours=1),
        None,
    ]


@pytest.mark.parametrize(
    "table", [{"head_timeout": "99ms"}, {"head_timeout": "25h"}, {"head_timeout": 10.0}, {"head_seconds": 10.0}]
)
def test_bounds_and_names_are_kept(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LimitsConfig.model_validate(table)


def test_a_cookie_lasts_whole_seconds() -> None:
    with pytest.raises(ValidationError):
        CookieConfig.model_validate({"secret": "s", "max_age": "1500ms"})


def test_spans_without_bounds_are_above_zero() -> None:
    assert RotationConfig.model_validate({"grace": "2w"}).grace == timedelta(weeks=2)
    assert RotationConfig(grace=timedelta(days=3)).grace == timedelta(days=3)
    with pytest.raises(ValidationError, match="a time above zero"):
        RotationConfig.model_validate({"grace": "0d"})
