"""Where each key of a TOML document stands: its line and column, counted from 1.

`tomllib` reads a document and forgets the places. So this walks once more through a text that
`tomllib` has accepted, and only needs to know where keys, values and brackets begin and end. It
walks only when something is wrong.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from config.values.problems import Location, Problem, toml_key

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*'")
_BETWEEN_KEYS = re.compile(r"[ \t]*\.[ \t]*")
# Up to two quotes may stand before the three that end a text of several lines.
_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:[^"\\]|\\.)*"' r"|'[^']*'", re.DOTALL
)
_PLAIN = re.compile(r"[^\n,\]}#]+")
_LAST_PART = re.compile(r'(?:\[[0-9]+\]|\.?[A-Za-z0-9_-]+|\.?"(?:[^"\\]|\\.)*")$')


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text, as editors count."""

    line: int
    column: int


class Positions:
    """The keys of one document."""

    def __init__(self, text: str = "") -> None:
        """`text` is TOML that `tomllib` accepts; it is empty for a document that has no text."""
        self._text = text
        self._found: Mapping[str, Position] | None = None

    def at(self, key: str) -> Position | None:
        """Where a key of a `Problem` stands; for one that is missing, where the table begins that
        lacks it.

        None for the document as a whole.
        """
        if not key or not self._text:
            return None
        if self._found is None:
            self._found = _Walk(self._text).positions()
        while key:
            if key in self._found:
                return self._found[key]
            key = _LAST_PART.sub("", key)
        return Position(1, 1)  # in the table that has no header

    def located(self, problem: Problem) -> Problem:
        """A problem of this document with its place."""
        place = self.at(problem.key)
        return problem if place is None else replace(problem, line=place.line, column=place.column)


class _Walk:
    """Through one text, from its beginning to its end; `at` is where it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._offsets: dict[Location, int] = {}
        self._last: dict[Location, int] = {}
        """The index of the newest entry of each list of tables."""

    def positions(self) -> Mapping[str, Position]:
        with suppress(RecursionError):  # lists within lists within lists: what is behind them has no place of its own
            self._document()
        lines = [0, *(match.end() for match in re.finditer("\n", self._text))]
        found: dict[str, Position] = {}
        for location, offset in self._offsets.items():
            line = bisect_right(lines, offset)
            found.setdefault(toml_key(location), Position(line, offset - lines[line - 1] + 1))
        return found

    def _document(self) -> None:
        table: Location = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _header(self) -> Location:
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        table: Location = ()
        offset = self._at
        for name, offset in self._keys():
            table = (*self._newest(table), name)
            self._offsets.setdefault(table, offset)
        self._skip_blank()
        self._at += 2 if is_list else 1
        if is_list:
            self._last[table] = self._last.get(table, -1) + 1
        table = self._newest(table)
        self._offsets[table] = offset  # here it stands, and not where a header only led through it
        return table

    def _newest(self, table: Location) -> Location:
        return (*table, self._last[table]) if table in self._last else table

    def _pair(self, table: Location) -> None:
        for name, offset in self._keys():
            table = (*table, name)
            self._offsets.setdefault(table, offset)
        self._skip_blank()
        self._at += 1  # =
        self._skip_blank()
        self._value(table)

    def _keys(self) -> Iterator[tuple[str, int]]:
        """The parts of a dotted key, and where each begins."""
        self._skip_blank()
        while True:
            found = _KEY.match(self._text, self._at)
            assert found is not None  # of TOML that was accepted
            self._at = found.end()
            yield _name(found[0]), found.start()
            dot = _BETWEEN_KEYS.match(self._text, self._at)
            if dot is None:
                return
            self._at = dot.end()

    def _value(self, place: Location) -> None:
        match self._text[self._at]:
            case "[":
                self._entries(place, "]")
            case "{":
                self._entries(place, "}")
            case '"' | "'":
                self._leave(_TEXT)
            case _:
                self._leave(_PLAIN)

    def _entries(self, place: Location, end: str) -> None:
        """What stands in a list or an inline table."""
        self._at += 1
        index = 0
        self._skip_blank()
        while self._text[self._at] != end:
            if end == "]":
                self._offsets.setdefault((*place, index), self._at)
                self._value((*place, index))
            else:
                self._pair(place)
            index += 1
            self._skip_blank()
            if self._text[self._at] == ",":
                self._at += 1
                self._skip_blank()
        self._at += 1

    def _leave(self, value: re.Pattern[str]) -> None:
        found = value.match(self._text, self._at)
        assert found is not None  # of TOML that was accepted
        self._at = found.end()

    def _skip_blank(self) -> None:
        found = _BLANK.match(self._text, self._at)
        assert found is not None  # it matches nothing at all, too
        self._at = found.end()


def _name(written: str) -> str:
    """The name that a part of a key means: quotes and escapes are not of it."""
    name: str = tomllib.loads(f"name = {written}")["name"] if written[0] in "\"'" else written
    return name
