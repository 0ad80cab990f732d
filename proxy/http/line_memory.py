"""The field lines of the requests of one connection, read with a memory of the last ones. Pure.

What a line means does not depend on the lines around it. So a line that the last request had is not
read again, and a new one is read by itself. `read_request_field` knows nearly all lines that
clients send. What it does not take for certain it leaves to llhttp (see `head`), which says what is
wrong.

The lines of one request at most are kept: those of the last one, which a connection remembers as a
whole in any case. So a line with a secret goes when the next request comes.
"""

from typing import Final

from mypy_extensions import i64

from proxy.http.fields import FieldLine, Fields, read_request_field, special_values
from proxy.http.grammar import length_of
from proxy.http.head import Header, HeadLimits

# Longer sections are not worth the memory of an idle connection: those of browsers have 500 to
# 2,000 bytes.
REMEMBERED_BYTES: Final = 4_096

_LINE_END: Final = b"\r\n"
_LENGTH_NAMES: Final = frozenset({b"content-length", b"Content-Length"})
# A beginning of fewer lines is not worth a comparison of its own.
LEAST_LINES: Final = 3


class Beginning:
    """The first lines of a request, which the request before it had as well."""

    def __init__(self, lines: list[FieldLine]) -> None:
        self.lines: Final = lines
        self.written: Final = b"".join([line.line for line in lines if line.goes_on])

    def before(self, rest: list[FieldLine]) -> bytes:
        """How these lines go on, and others behind them."""
        return self.written + b"".join([line.line for line in rest if line.goes_on])


class _Section(Beginning):
    """Those lines as they came, each behind a line end."""

    def __init__(self, lines: list[FieldLine]) -> None:
        super().__init__(lines)
        self.section: Final = b"".join([b"\r\n%b" % line.sent for line in lines]) + _LINE_END
        self.judged: Final = [line for line in lines if line.is_judged]


_NOTHING: Final = _Section([])


class LineMemory:
    def __init__(self) -> None:
        self._limits: HeadLimits | None = None
        self.forget()

    def forget(self) -> None:
        """Keep no line: the last request was doubtful, or longer than what is remembered."""
        self._lines: list[FieldLine] = []
        self._judged: list[FieldLine] = []
        """Those that `framing` judges, and what they say:"""
        self._special: dict[bytes, list[bytes]] = {}
        self._shape = self._special
        self._beginning = _NOTHING
        self._same: i64 = 0
        """How many lines at the beginning were as before."""

    def read(self, section: bytes, limits: HeadLimits) -> Fields | None:
        """Sort the fields of a request; `section` is its head behind the request line.

        Two requests in succession have the same `special` if the same lines say it, and the same
        `shape` if only the length of the body differs. None if a line is not certainly well-formed,
        or if there are too many or too long ones.
        """
        if limits is not self._limits:
            self._limits = limits
            self.forget()
        beginning = self._beginning
        if not section.startswith(beginning.section):
            beginning = _NOTHING
        rest = self._rest(section[len(beginning.section) :], len(beginning.lines), limits)
        if rest is None:
            self.forget()
            return None
        self._lines = lines = beginning.lines + rest
        judged = beginning.judged + [line for line in rest if line.is_judged]
        if judged != self._judged:  # lines are equal if they are the same objects
            told = with_other_length(self._special, judged, self._judged)
            if told is None:
                told = self._shape = special_values(judged)
            self._judged = judged
            self._special = told
        written = beginning.before(rest)
        if self._same - len(beginning.lines) >= LEAST_LINES:
            beginning = _Section(lines[: self._same])
        self._beginning = beginning
        return Fields(lines, self._special, written=written, shape=self._shape)

    def _rest(self, section: bytes, start: i64, limits: HeadLimits) -> list[FieldLine] | None:
        """The lines behind the beginning, which has `start` lines."""
        sent: list[bytes] = section.split(_LINE_END)
        last: i64 = len(sent) - 2  # the empty line
        if last < 0 or start + last > limits.header_count or sent[last] or sent[last + 1]:
            return None
        before = self._lines
        most: i64 = limits.header_bytes
        place = start
        same = start
        at: i64 = 0
        found: list[FieldLine] = []
        while at < last:
            line = sent[at]
            here = _place_of(line, before, place)
            if here >= 0:
                known: FieldLine | None = before[here]
                if here == same == start + at:
                    same += 1
            else:
                here = place
                known = read_request_field(line, before[place] if place < len(before) else None)
                if len(line) > most:
                    return None
            if known is None:
                return None
            found.append(known)
            place = here + 1
            at += 1
        self._same = same
        return found


def _place_of(line: bytes, before: list[FieldLine], place: i64) -> i64:
    """Where a line stood in the last section, if that is at most one line beside `place`; else -1.

    One line may have come in between, or have gone.
    """
    count: i64 = len(before)
    if place < count and before[place].sent == line:
        return place
    if 0 < place <= count and before[place - 1].sent == line:
        return place - 1
    if place + 1 < count and before[place + 1].sent == line:
        return place + 1
    return -1


def with_other_length(
    special: dict[bytes, list[bytes]], lines: list[FieldLine], before: list[FieldLine]
) -> dict[bytes, list[bytes]] | None:
    """What these lines say, if they differ from those `before` in the length of the body alone.

    `special` is what those said. None if more differs, or if one of the two has no body.
    """
    if len(lines) != len(before):
        return None
    told: dict[bytes, list[bytes]] | None = None
    for place, line in enumerate(lines):
        if line is before[place]:
            continue
        new: Header = line.header
        old: Header = before[place].header
        if told is not None or new[0] not in _LENGTH_NAMES or length_of(new[1]) <= 0:
            return None
        if old[0] != new[0] or length_of(old[1]) <= 0:
            return None
        told = special.copy()
        told[b"content-length"] = [new[1]]
    return told
