"""One line: its one spelling, its hash, and what is not a line."""

import hashlib
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.audit.line import LARGEST_LINE, NO_HASH, Facts, Line, LineKind, NotALine
from tests.certs.audit.logs import NOW

texts = st.text(st.characters(), max_size=40)
facts = st.dictionaries(
    st.text(st.characters(categories=["Ll"]), min_size=1).map(lambda key: f"x{key}"),
    texts | st.integers(-(2**53) + 1, 2**53 - 1),
    max_size=5,
)


def line(said: Facts, prev: bytes = NO_HASH) -> Line:
    return Line.after(prev, 7, LineKind.OPERATION, said, NOW)


def with_value(key: str, value: object) -> bytes:
    document = json.loads(line({}).encode())
    return json.dumps({**document, key: value}, sort_keys=True, separators=(",", ":")).encode()


@given(facts, st.binary(min_size=32, max_size=32))
def test_what_was_written_is_read(said: Facts, prev: bytes) -> None:
    written = line(said, prev)
    assert Line.parse(written.encode().removesuffix(b"\n")) == written
    assert written.is_intact


def test_hash_is_sha_256_of_the_hash_before_and_the_rest_of_the_line() -> None:
    prev = bytes(range(32))
    document = json.loads(line({"key": "é"}, prev).encode())
    claimed = document.pop("hash")
    rest = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert claimed == hashlib.sha256(prev + rest).hexdigest()
    assert document == {
        "key": "é", "kind": "operation", "prev": prev.hex(), "seq": 7, "time": "2026-05-04T03:02:01.123456Z",
    }  # fmt: skip


@given(st.data())
def test_every_changed_byte_shows(data: st.DataObject) -> None:
    raw = line({"key": "chat", "count": 3}).encode().removesuffix(b"\n")
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    changed = raw[:place] + bytes([byte]) + raw[place + 1 :]
    with suppress(NotALine):
        assert not Line.parse(changed).is_intact


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"1" * 5000, "is not JSON"),
        (b"[" * 16_000, "is not JSON"),
        (b"[1]", "is not JSON object"),
        (b"x" * LARGEST_LINE, "has more than 16_384 bytes"),
        (b'{"a":null}', 'has "a" that is neither text nor a whole number'),
        (b'{"a\\u001b":true}', 'has "a\\x1b" that is neither text nor a whole number'),
        (b'{"a":1.5}', 'has "a" that is neither text nor a whole number'),
        (b'{"a":9007199254740992}', 'has "a" that is neither text nor a whole number'),
        (b"{}", 'has no "kind" of an audit log'),
        (with_value("kind", "other"), 'has no "kind" of an audit log'),
        (with_value("seq", 0), 'has no "seq" of an audit log'),
        (with_value("seq", "7"), 'has no "seq" of an audit log'),
        (with_value("prev", "00"), 'has no "prev" of an audit log'),
        (with_value("hash", "A" * 64), 'has no "hash" of an audit log'),
        (with_value("time", 1), 'has no "time" of an audit log'),
        (with_value("time", "x").replace(b",", b", "), "is not written in the canonical form"),
        (with_value("time", "x").replace(b"{", b'{"a":1,"a":1,'), "is not written in the canonical form"),
    ],
)
def test_what_is_no_line(raw: bytes, reason: str) -> None:
    with pytest.raises(NotALine) as caught:
        Line.parse(raw)
    assert caught.value.reason == reason
    assert str(caught.value) == f"which {reason}"


def test_a_line_is_not_too_long_to_be_read_again() -> None:
    longest = LARGEST_LINE - len(line({"x": ""}).encode())
    written = line({"x": "a" * longest}).encode()
    assert Line.parse(written.removesuffix(b"\n")).encode() == written
    with pytest.raises(ValueError, match="more than 16_384 bytes"):
        line({"x": "a" * (longest + 1)})
