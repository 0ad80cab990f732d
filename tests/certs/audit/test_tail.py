"""Where a file ends."""

import gzip
from io import BytesIO
from pathlib import Path

import pytest

from certs.audit.chain import Head
from certs.audit.line import Line, LineKind
from certs.audit.tail import LogDamaged, Tail, read_end, read_tail
from tests.certs.audit.logs import LOG, NOW, Writer

PATH = Path("audit.jsonl")
WRITER = Writer().operations(3)
WHOLE = b"".join(WRITER.lines)
LAST = Line.parse(WRITER.lines[-1][:-1])


def tail(content: bytes) -> Tail:
    return read_tail(PATH, BytesIO(content))


def test_whole_file() -> None:
    assert tail(WHOLE) == Tail(WRITER.head, b"", len(WHOLE), is_open=False, time=LAST.time)
    assert tail(WHOLE[:-1]) == Tail(WRITER.head, b"", len(WHOLE) - 1, is_open=True, time=LAST.time)


def test_empty_file() -> None:
    assert tail(b"") == Tail(None, b"", 0, is_open=False)


@pytest.mark.parametrize("torn", [b"{", b"{\n", b"{\n{", b"\n", b"\0" * 500, b"\0" * 500 + b"\n"])
def test_what_a_crash_has_left(torn: bytes) -> None:
    assert tail(WHOLE + torn) == Tail(WRITER.head, torn, len(WHOLE + torn), is_open=False, time=LAST.time)
    assert tail(torn) == Tail(None, torn, len(torn), is_open=False)


def test_a_file_that_begins_with_what_a_crash_has_left() -> None:
    head = Head("f" * 32, 12, bytes(32))
    line = head.continued(NOW, b"{")
    assert tail(b"{\n" + line.encode()).head == head.moved(line)


def test_a_large_file_is_not_read_whole() -> None:
    writer = Writer()
    line = writer.put(facts={"x": "y" * 900}).encode()
    content = writer.lines[0] + line * 3_000
    assert tail(content).head == Head(LOG, 2, writer.head.hash)


def test_nothing_to_continue_from() -> None:
    with pytest.raises(LogDamaged, match=r"audit\.jsonl.*no line in its last 1_048_576 bytes.*audit verify"):
        tail(WHOLE + b"x" * 1_048_576)
    with pytest.raises(LogDamaged, match="a first line that begins neither a log nor a file of one"):
        tail(WRITER.lines[1])
    first = Head("", 0, bytes(32)).line(LineKind.CONTINUED, {"log": 1}, NOW)
    with pytest.raises(LogDamaged):
        tail(first.encode())


def test_end_of_a_file_of_before(tmp_path: Path) -> None:
    plain, packed, other = tmp_path / "audit.jsonl.1", tmp_path / "audit.jsonl.2.gz", tmp_path / "audit.jsonl.3.gz"
    plain.write_bytes(WHOLE)
    packed.write_bytes(gzip.compress(WHOLE))
    other.write_bytes(gzip.compress(WHOLE)[:-20])
    assert read_end(plain) == read_end(packed) == (LAST.time, WRITER.head)
    assert read_end(other) is None
    other.write_bytes(b"no gzip")
    assert read_end(other) is None
    plain.write_bytes(WHOLE + b"x" * 1_048_576)
    assert read_end(plain) is None
    assert read_end(tmp_path / "missing") is None
