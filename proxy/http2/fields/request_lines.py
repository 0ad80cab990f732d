"""The fields of requests as the lines that HTTP/1.1 would have. Pure.

A client sends most fields again in each request. Such a field is neither checked nor written again,
if those around it differ or not. A decoder gives the very tuple of its table for a field that the
client has indexed, so to know it costs little.
"""

from typing import TYPE_CHECKING

from mypy_extensions import i64

from proxy.http.fields import FieldLine, request_line, written_line
from proxy.http2.fields.field_rules import check_field, check_value
from proxy.http2.hpack.static_table import AnyHeader

if TYPE_CHECKING:
    from proxy.http.head import Header

# How many fields may be left out in a row: `if-none-match` and `if-modified-since` come together.
_LEFT_OUT: i64 = 2


def read_lines(fields: list[AnyHeader], start: i64, before: list[FieldLine]) -> list[FieldLine]:
    """Check the fields from `start` on, and return their lines (RFC 9113 8.2).

    `before` are the lines of the last request: that list is returned if all fields are the same.
    Raises StreamFault.
    """
    count: i64 = len(fields)
    known: i64 = len(before)
    at = start
    place: i64 = 0
    while at < count and place < known and before[place].is_of(fields[at]):
        at += 1
        place += 1
    if at == count and place == known:
        return before
    lines = before[:place]
    while at < count:
        field = fields[at]
        at += 1
        # crumbs of a cookie have one name, and one may be left out
        if place < known:
            like = before[place]
            if (like.is_ordinary or like.is_length) and like.has_name_of(field):
                lines.append(_read_like(like, field))
                place += 1
                continue
        found = _place_of(field, before, place)
        if found >= 0:
            lines.append(before[found])
            place = found + 1
        else:
            lines.append(_read(field))
    return lines


def _read(field: AnyHeader) -> FieldLine:
    pair: Header = field  # see `written_line`
    check_field(pair[0], pair[1])
    return request_line(field)


def _read_like(line: FieldLine, field: AnyHeader) -> FieldLine:
    """Read a field that has the name of this line, one without a rule of its own."""
    if line.has_value_of(field):
        return line
    pair: Header = field
    check_value(pair[1])
    return written_line(field, line.treatment)


def _place_of(field: AnyHeader, before: list[FieldLine], place: i64) -> i64:
    """Where this very field stands among the next lines of `before`; -1 if it does not."""
    end = min(place + _LEFT_OUT + 1, len(before))
    while place < end:
        if before[place].header is field:
            return place
        place += 1
    return -1
