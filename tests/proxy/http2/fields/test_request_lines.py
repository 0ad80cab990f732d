"""Fields that a client sends again are neither checked nor read again, whatever stands around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import FieldLine
from proxy.http.head import Header
from proxy.http2.fields.request_lines import read_lines
from proxy.http2.wire.errors import StreamFault

METHOD: Header = (b":method", b"GET")
ACCEPT: Header = (b"accept", b"*/*")
AGENT: Header = (b"user-agent", b"x")
TAG: Header = (b"if-none-match", b'"1"')
SINCE: Header = (b"if-modified-since", b"today")
TRACE: Header = (b"traceparent", b"00-1")
COOKIE: Header = (b"cookie", b"a=b")


def read(*fields: Header, before: list[FieldLine] | None = None) -> list[FieldLine]:
    return read_lines([METHOD, *fields], 1, before or [])


def headers(lines: list[FieldLine]) -> list[Header]:
    return [line.header for line in lines]


def test_lines_are_those_of_http_1_1() -> None:
    (line,) = read(ACCEPT)
    assert (line.line, line.header, line.goes_on) == (b"accept: */*\r\n", ACCEPT, True)
    (line,) = read((b"host", b"chat.test"))
    assert not line.goes_on


def test_the_same_fields_are_the_same_list() -> None:
    before = read(ACCEPT, AGENT)
    assert read(ACCEPT, AGENT, before=before) is before
    copies = [(bytes(bytearray(name)), bytes(bytearray(value))) for name, value in (ACCEPT, AGENT)]
    assert read(*copies, before=before) is before, "a field that is not indexed comes as another tuple"


def test_a_field_is_known_by_its_identity_again_after_it_came_as_another_tuple() -> None:
    before = read(ACCEPT)
    copy: Header = (bytes(bytearray(ACCEPT[0])), ACCEPT[1])
    assert read(copy, before=before)[0].header is copy


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([ACCEPT, AGENT, TAG, SINCE], 4),
        ([ACCEPT, AGENT, TAG], 3),
        ([AGENT, TAG, SINCE], 3),
        ([ACCEPT, SINCE], 2),  # two are left out
        ([ACCEPT, TRACE, AGENT, TAG, SINCE], 4),
        ([ACCEPT, TRACE, COOKIE, AGENT, TAG, SINCE], 4),
        ([ACCEPT, (b"user-agent", b"y"), TAG, SINCE], 3),
        ([ACCEPT, (b"user-agent", b"y"), (b"if-none-match", b'"2"'), SINCE], 2),
        ([ACCEPT, (b"user-agent", b"y"), (b"if-none-match", b'"2"'), (b"if-modified-since", b"now"), COOKIE], 1),
        ([COOKIE], 0),
        ([], 0),
    ],
)
def test_what_is_known_is_not_read_again(fields: list[Header], kept: int) -> None:
    before = read(ACCEPT, AGENT, TAG, SINCE)
    lines = read(*fields, before=before)
    assert headers(lines) == fields
    assert sum(any(line is one for one in before) for line in lines) == kept


FIELDS = st.lists(st.sampled_from([ACCEPT, AGENT, TAG, SINCE, TRACE, COOKIE, (b"accept", b"x"), (b"cookie", b"c=d")]))


@given(first=FIELDS, second=FIELDS)
def test_a_memory_changes_nothing(first: list[Header], second: list[Header]) -> None:
    lines = read(*second, before=read(*first))
    assert headers(lines) == second
    assert [line.line for line in lines] == [line.line for line in read(*second)]


@pytest.mark.parametrize(
    "bad", [(b"Accept", b"x"), (b":path", b"/"), (b"accept", b" x"), (b"accept", b"\n"), (b"", b"")]
)
def test_a_new_field_is_checked_behind_known_ones(bad: Header) -> None:
    before = read(ACCEPT, AGENT)
    for fields in ([bad], [ACCEPT, bad], [ACCEPT, bad, AGENT], [ACCEPT, AGENT, bad]):
        with pytest.raises(StreamFault):
            read(*fields, before=before)
