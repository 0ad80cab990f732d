"""Durations as text with a unit: `"30s"`, `"90d"`. Their one notation and its one parser. Pure."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import Field, GetCoreSchemaHandler, PlainValidator, ValidationError, ValidatorFunctionWrapHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from config.values.addresses import Refused

# From the longest to the shortest. `written` does not use weeks: "7d" is read faster than "1w".
_UNITS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
# Whole numbers: there is one way to write a time, and no rounding ("1500ms", never "1.5s").
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,8})(ms|[smhdw])")
_LONGEST: Final = timedelta(days=36_500)


def parse_duration(text: object) -> timedelta:
    """Read `90d`, `12h`, `30m`, `45s`, `250ms`, `2w`. Raises `Refused`."""
    span = _read(text)
    if span is None:
        raise Refused('a time such as "90d", "12h" or "30m", of a hundred years at most')
    return span


def _read(text: object) -> timedelta | None:
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    span = _UNITS[found[2]] * int(found[1]) if found else _LONGEST + _UNITS["d"]
    return span if span <= _LONGEST else None


def written(span: timedelta) -> str:
    """A duration as in a file, to the millisecond, in the longest unit that divides it."""
    units = (unit for unit, size in _UNITS.items() if unit != "w" and not span % size)
    unit = next(units, "ms") if span else "s"
    return f"{round(span / _UNITS[unit])}{unit}"


def _parse_positive(value: object) -> timedelta:
    span = value if isinstance(value, timedelta) else parse_duration(value)
    if not span:
        raise Refused('a time above zero, such as "90d", "12h" or "30m"')
    return span


def _parse_optional(value: object) -> timedelta | None:
    return None if value is None else _parse_positive(value)


Duration = Annotated[timedelta, PlainValidator(_parse_positive)]
OptionalDuration = Annotated[timedelta | None, PlainValidator(_parse_optional)]


@dataclass(frozen=True, slots=True)
class TimeIn:
    """Part of the type of a field that counts in a unit what the file has as a duration."""

    unit: timedelta

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the text before the bounds of the field are looked at."""
        return core_schema.no_info_wrap_validator_function(self._read, handler(source))

    def _read(self, text: object, bounded: ValidatorFunctionWrapHandler) -> object:
        # Without a text of its own: `config.loading.rejections` knows the bounds, in units of time.
        span = _read(text)
        if span is None:
            raise ValueError("no time")
        try:
            return bounded(span / self.unit if span % self.unit else span // self.unit)
        except ValidationError:
            raise ValueError("out of bounds") from None


Seconds = Annotated[float, TimeIn(_UNITS["s"])]
OptionalSeconds = Annotated[float | None, TimeIn(_UNITS["s"])]
WholeSeconds = Annotated[int, TimeIn(_UNITS["s"])]
Hours = Annotated[float, TimeIn(_UNITS["h"])]


def time_field(key: str, default: float | None, *, least: float = 0.1, most: float) -> Any:
    """A field that the file has under `key`, where the name says no unit; the numbers are in the
    unit of the field.
    """
    # A tenth of a second: below it a healthy peer across an ocean would be cut off.
    return Field(default, validation_alias=key, ge=least, le=most, strict=True)


def unit_of(field: FieldInfo) -> timedelta | None:
    """In what a field counts; None if it is no such time."""
    return next((one.unit for one in field.metadata if isinstance(one, TimeIn)), None)
