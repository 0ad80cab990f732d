"""A memory of lines spares work; it never changes what a line means, and keeps those of one request at most."""

import gc

import pytest

from proxy.http.fields import Fields, request_line, special_values
from proxy.http.head import Header, HeadLimits
from proxy.http.line_memory import LineMemory, with_other_length

LIMITS = HeadLimits(target_bytes=100, header_count=8, header_bytes=60)
USUAL = (b"Host: chat.test", b"Connection: keep-alive", b"Accept: */*", b"Cookie: a=b", b"X-Last: 1")


def section(*lines: bytes) -> bytes:
    return b"\r\n" + b"".join([line + b"\r\n" for line in lines]) + b"\r\n"


def read(memory: LineMemory, *lines: bytes, limits: HeadLimits = LIMITS) -> Fields:
    fields = memory.read(section(*lines), limits)
    assert fields is not None
    assert [line.sent for line in fields.sent] == list(lines)
    assert fields.lines == b"".join([line.line for line in fields.sent if line.goes_on])
    return fields


def known(before: Fields, after: Fields) -> list[bytes]:
    """The lines of a request that were not read again."""
    return [line.sent for line in after.sent if any(line is one for one in before.sent)]


CHANGES = {
    "nothing": USUAL,
    "a line in the middle": (*USUAL[:2], b"Accept: text/html", *USUAL[3:]),
    "the last line": (*USUAL[:4], b"X-Last: 2"),
    "the first line": (b"Host: other.test", *USUAL[1:]),
    "a line that comes": (*USUAL[:2], b"X-New: 1", *USUAL[2:]),
    "a line that comes first": (b"X-New: 1", *USUAL),
    "a line that comes last": (*USUAL, b"X-New: 1"),
    "a line that goes": (*USUAL[:2], *USUAL[3:]),
    "the last line that goes": USUAL[:4],
    "a line that repeats": (*USUAL[:3], *USUAL[2:]),
}


@pytest.mark.parametrize("lines", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("repeated", [0, 1, 2])
def test_only_new_lines_are_read(lines: tuple[bytes, ...], repeated: int) -> None:
    memory = LineMemory()
    before = read(memory, *USUAL)
    for _ in range(repeated):
        before = read(memory, *USUAL)
    after = read(memory, *lines)
    assert known(before, after) == [line for line in lines if line in USUAL]
    again = read(memory, *USUAL)
    assert known(after, again) == [line for line in USUAL if line in lines]


def test_lines_behind_two_that_came_are_read_again() -> None:
    memory = LineMemory()
    before = read(memory, *USUAL)
    assert known(before, read(memory, USUAL[0], b"A: 1", b"B: 2", *USUAL[1:])) == [USUAL[0]]


def test_beginning_that_stays_is_compared_as_a_whole_and_grows() -> None:
    memory = LineMemory()
    for number in range(3):
        read(memory, *USUAL, b"X: %d" % number)
    assert [line.sent for line in memory._beginning.lines] == list(USUAL)
    read(memory, *USUAL[:3], b"Y: 1")
    assert [line.sent for line in memory._beginning.lines] == list(USUAL[:3])
    for number in range(2):
        read(memory, *USUAL, b"A: 1", b"X: %d" % number)
    assert [line.sent for line in memory._beginning.lines] == [*USUAL, b"A: 1"]
    read(memory, b"X: 1", *USUAL)
    assert memory._beginning.lines == []


def test_the_same_special_lines_say_the_same() -> None:
    memory = LineMemory()
    first = read(memory, *USUAL, b"Via: 1.1 a")
    assert first.special == {b"host": [b"chat.test"], b"connection": [b"keep-alive"], b"via": [b"1.1 a"]}
    assert read(memory, *USUAL[:3], b"X: 1", b"X: 2", b"Via: 1.1 a").special is first.special
    assert read(memory, *USUAL, b"Via: 1.1 b").special[b"via"] == [b"1.1 b"]
    assert read(memory, *USUAL).special.keys() == {b"host", b"connection"}
    assert read(memory, USUAL[0], *USUAL).special[b"host"] == [b"chat.test"] * 2


def test_another_length_of_a_body_leaves_the_shape() -> None:
    memory = LineMemory()
    first = read(memory, *USUAL, b"Content-Length: 5")
    second = read(memory, *USUAL, b"Content-Length: 17")
    assert second.special == {**first.special, b"content-length": [b"17"]}
    assert second.shape is first.shape
    assert read(memory, *USUAL, b"Content-Length: 17", b"X: 1").special is second.special
    assert read(memory, *USUAL, b"Content-Length: 4").shape is first.shape
    for other in ([b"Content-Length: 0"], [b"Content-Length: 5", b"TE: trailers"], []):
        assert read(memory, *USUAL, *other).shape is not first.shape
        read(memory, *USUAL, b"Content-Length: 5")


@pytest.mark.parametrize(
    "doubtful",
    [
        b"no colon",
        b"Accept",
        b"Upgrade",
        b": nameless",
        b" folded",
        b"X Y: z",
        b"X : z",
        b"X\0: z",
        b"X: \0",
        b"X: a\rb",
        b"X: a\nb",
        b"X: \x7f",
        b"Host\t: a",
        b"X: " + b"y" * 58,
        b"",
    ],
)
def test_doubtful_line_is_left_to_llhttp_and_all_is_forgotten(doubtful: bytes) -> None:
    memory = LineMemory()
    before = read(memory, *USUAL)
    assert memory.read(section(*USUAL, doubtful), LIMITS) is None
    assert known(before, read(memory, *USUAL)) == []


@pytest.mark.parametrize("raw", [b"\r\n", b"", b"A: 1", b"\r\nA: 1", b"\r\nA: 1\r\n", b"\r\nA: 1\r\n\r\nB"])
def test_what_is_no_whole_section_is_left_to_llhttp(raw: bytes) -> None:
    assert LineMemory().read(raw, LIMITS) is None


def test_too_many_lines_are_left_to_llhttp() -> None:
    memory = LineMemory()
    lines = [b"A: %d" % number for number in range(9)]
    assert len(read(memory, *lines[:8]).sent) == 8
    assert memory.read(section(*lines), LIMITS) is None


def test_other_limits_hold_for_known_lines_too() -> None:
    memory = LineMemory()
    read(memory, *USUAL)
    assert memory.read(section(*USUAL), HeadLimits(100, 4, 60)) is None
    assert memory.read(section(*USUAL), HeadLimits(100, 8, 20)) is None


def test_line_that_is_not_written_as_usual_goes_on_as_we_write_it() -> None:
    fields = read(LineMemory(), b"a:1", b"B:  2", b"C: 3 ", b"D:\t4", b"E:", b"F: ", b"G: \xff", b"H: 1 2")
    assert fields.lines == b"a: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nG: \xff\r\nH: 1 2\r\n"
    assert fields.forwarded[:3] == [(b"a", b"1"), (b"B", b"2"), (b"C", b"3")]


def test_secrets_go_with_their_request() -> None:
    """The memory holds the lines of the last request alone, whatever part of it keeps them."""
    secrets = (b"Cookie: session=secret", b"Authorization: Bearer secret", b"Proxy-Authorization: Basic secret")
    for others in ((*USUAL[:3],), (*USUAL[:3], b"X: 1"), (b"X: 1",)):
        memory = LineMemory()
        for _ in range(3):
            read(memory, *USUAL[:3], *secrets)
        assert any(b"secret" in one for one in _reached(memory))
        read(memory, *others)
        assert not [one for one in _reached(memory) if b"secret" in one]


def _reached(value: object) -> list[bytes]:
    """All bytes that an object keeps, directly or through others."""
    seen: dict[int, object] = {}
    left = [value]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen[id(one)] = one
        left += [kept for kept in gc.get_referents(one) if not callable(kept)]
    return [one for one in seen.values() if isinstance(one, bytes)]


@pytest.mark.parametrize(
    ("before", "after", "is_like_it"),
    [
        ((b"Content-Length", b"3"), (b"Content-Length", b"4"), True),
        ((b"content-length", b"3"), (b"content-length", b"900000000000000000"), True),
        ((b"Content-Length", b"3"), (b"content-length", b"4"), False),
        ((b"Content-Length", b"0"), (b"Content-Length", b"4"), False),
        ((b"Content-Length", b"3"), (b"Content-Length", b"0"), False),
        ((b"Content-Length", b"3"), (b"Content-Length", b"4, 4"), False),
        ((b"Content-Length", b"3"), (b"Via", b"1.1 a"), False),
        ((b"Via", b"3"), (b"Via", b"4"), False),
        ((b"Via", b"3"), (b"Content-Length", b"4"), False),
    ],
)
def test_only_the_length_of_a_body_may_differ(before: Header, after: Header, is_like_it: bool) -> None:  # noqa: FBT001
    host = request_line((b"Host", b"chat.test"))
    old, new = request_line(before), request_line(after)
    special = special_values([host, old])
    told = with_other_length(special, [host, new], [host, old])
    assert told == ({**special, b"content-length": [after[1]]} if is_like_it else None)
    assert with_other_length(special, [host, new, host], [host, old]) is None
    other = request_line((b"Host", b"chat.test"))
    assert with_other_length(special, [other, new], [host, old]) is None
    assert with_other_length(special, [new, new], [old, old]) is None
