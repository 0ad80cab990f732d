"""Header blocks for a peer, read back by the `hpack` package and by our decoder."""

import pytest
from hpack import Decoder as OtherDecoder
from hpack.struct import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.head import Header
from proxy.http2.hpack.decoder import BlockLimits, HeaderDecoder
from proxy.http2.hpack.encoder import HeaderEncoder
from tests.proxy.http2.hpack import header_blocks
from tests.proxy.http2.hpack.header_blocks import number, plain

TABLE = 4096
WIDE = BlockLimits(count=1_000_000, list_bytes=1 << 26, field_bytes=1 << 24)


class Ends:
    """An encoder of ours, and a decoder of another."""

    def __init__(self) -> None:
        self.encoder = HeaderEncoder()
        self.decoder = OtherDecoder()

    def send(self, *fields: Header) -> bytes:
        """Encode a list, and see that it arrives."""
        block = self.encoder.encode([list(fields)])
        assert [(name, value) for name, value in self.decoder.decode(block, raw=True)] == list(fields)
        return block

    @property
    def table(self) -> list[Header]:
        return list(self.decoder.header_table.dynamic_entries)


def test_the_examples_of_the_standard_are_written() -> None:
    encoder = HeaderEncoder()
    for example in header_blocks.PLAIN_REQUESTS:
        assert encoder.encode([example.fields]) == example.block
        assert encoder._table.size == example.size


def test_a_field_of_the_static_table_is_an_octet() -> None:
    ends = Ends()
    assert (
        ends.send((b":status", b"200"), (b":method", b"GET"), (b"accept-encoding", b"gzip, deflate")) == b"\x88\x82\x90"
    )
    assert ends.table == []


def test_a_field_that_was_sent_before_is_an_octet() -> None:
    ends = Ends()
    fields = [(b"content-type", b"text/html"), (b"x-name", b"value")]
    assert ends.send(*fields) == b"\x5f" + plain(b"text/html") + b"\x40" + plain(b"x-name") + plain(b"value")
    assert ends.send(*fields) == b"\xbf\xbe"
    assert ends.send(*fields, *fields) == b"\xbf\xbe\xbf\xbe"


def test_fields_that_are_the_same_objects_keep_in_step_with_the_table() -> None:
    ends = Ends()
    stable, status, other, third = (b"x-name", b"value"), (b":status", b"200"), (b"x-other", b"1"), (b"x-third", b"2")
    ends.send(status, stable)
    assert ends.send(status, stable) == b"\x88\xbe"
    assert ends.send(status, stable) == b"\x88\xbe"
    # a literal in front of a known field moves its index within the block
    assert ends.send(other, stable) == b"\x40" + plain(b"x-other") + plain(b"1") + b"\xbf"
    assert ends.send(status, stable) == b"\x88\xbf"
    assert ends.send(status, stable, stable, other) == b"\x88\xbf\xbf\xbe"
    ends.send(status, stable, third, other, stable)
    assert ends.send(status, stable, third, other) == b"\x88\xc0\xbe\xbf"
    assert ends.send(third) == b"\xbe"


def test_a_field_that_comes_twice_in_a_list_is_indexed_once() -> None:
    ends = Ends()
    assert (
        ends.send((b"x-name", b"value"), (b"x-name", b"value"))
        == b"\x40" + plain(b"x-name") + plain(b"value") + b"\xbe"
    )


def test_values_that_change_each_time_are_indexed_once_for_their_name() -> None:
    ends = Ends()
    for place in range(100):
        ends.send((b"x-request-id", b"%d" % place), (b"etag", b"%d" % place))
    assert ends.table == [(b"etag", b"0"), (b"x-request-id", b"0")]
    # the names are an index each: of the dynamic table and of the static one
    assert ends.send((b"x-request-id", b"id"), (b"etag", b"tag")) == b"\x0f\x30" + plain(b"id") + b"\x0f\x13" + plain(
        b"tag"
    )


def test_a_value_that_comes_twice_in_a_row_is_indexed() -> None:
    ends = Ends()
    first, second, third = ((b"date", b"%d" % place) for place in range(3))
    ends.send(first)
    assert ends.send(second) == b"\x0f\x12" + plain(b"1")
    assert ends.send(second) == b"\x61" + plain(b"1")
    assert ends.send(second) == b"\xbe"
    assert ends.send(first) == b"\xbf"
    ends.send(third)
    assert ends.table == [second, first]
    ends.send(second)
    ends.send(third)
    assert ends.table == [third, second, first]


@pytest.mark.parametrize(
    "name",
    [
        *(b"authorization", b"authentication-info", b"cookie", b"proxy-authenticate", b"proxy-authentication-info"),
        *(b"proxy-authorization", b"set-cookie", b"www-authenticate"),
    ],
)
def test_a_secret_is_never_indexed(name: bytes) -> None:
    ends = Ends()
    for _ in range(3):
        block = ends.send((name, b"secret"))
        assert block[0] & 0xF0 == 0x10
        assert block.endswith(plain(b"secret"))
        (field,) = ends.decoder.decode(block, raw=True)
        assert not field.indexable
    assert ends.table == []


def test_a_large_field_is_not_indexed() -> None:
    ends = Ends()
    ends.send((b"x", b"v" * (TABLE // 4 - 32)))
    assert ends.table == []
    ends.send((b"x", b"v" * (TABLE // 4 - 33)))
    assert len(ends.table) == 1


def test_a_name_that_was_evicted_is_sent_again() -> None:
    ends = Ends()
    ends.send((b"x-name", b"first"))
    ends.send((b"x-name", b"second"))
    for place in range(10):
        ends.send((b"other-%d" % place, b"v" * 900))
    assert len(ends.table) == 4
    assert ends.send((b"x-name", b"second")) == b"\x40" + plain(b"x-name") + plain(b"second")


def test_values_of_one_name_are_found_while_the_table_has_them() -> None:
    """A name that the table has once is known by its value, else its fields are looked up."""
    ends = Ends()
    first, second, third = [(b"x-name", value) for value in (b"one", b"two", b"three")]
    ends.send(first)
    for field in (second, third):
        ends.send(field)
        ends.send(field)  # it comes twice in a row: indexed
    for field in (first, second, third):
        assert len(ends.send(field)) == 1
    while len(ends.send(first)) == 1:
        ends.send((b"x-%d" % ends.encoder._table.inserted, b"v" * 200))
    for field in (second, third):
        assert ends.send((field[0], field[1])), "it is read as it was given"
        ends.send((b"y-%d" % ends.encoder._table.inserted, b"v" * 200))


def test_a_status_of_the_static_table_is_found_behind_another_one() -> None:
    ends = Ends()
    assert len(ends.send((b":status", b"201"))) > 1
    assert ends.send((b":status", b"200")) == b"\x88"
    assert len(ends.send((b":status", b"201"))) == 1


def test_a_name_stays_known_by_its_latest_field() -> None:
    ends = Ends()
    ends.send((b"x-name", b"first"))
    ends.send((b"big", b"v" * 900), (b"big2", b"v" * 900), (b"big3", b"v" * 900), (b"big4", b"v" * 900))
    ends.send((b"x-name", b"second"))
    ends.send((b"x-name", b"second"))
    ends.send((b"big5", b"v" * 900))
    assert (b"x-name", b"first") not in ends.table
    assert ends.send((b"x-name", b"third")) == b"\x0f\x30" + plain(b"third")


class TestPeerTable:
    """SETTINGS_HEADER_TABLE_SIZE of the peer (RFC 7541 4.2)."""

    def test_no_more_than_the_default_is_used(self) -> None:
        ends = Ends()
        ends.encoder.peer_table_bytes(65_536)
        assert ends.send((b":status", b"200")) == b"\x88"

    def test_the_next_block_says_which_size_is_used(self) -> None:
        ends = Ends()
        ends.send((b"x-name", b"value"))
        ends.encoder.peer_table_bytes(100)
        assert ends.send((b"x-name", b"value")) == number(0x20, 5, 100) + b"\xbe"
        assert ends.send((b"x-name", b"value")) == b"\xbe"
        ends.encoder.peer_table_bytes(100)
        assert ends.send((b"x-name", b"value")) == b"\xbe"
        ends.encoder.peer_table_bytes(200)
        assert ends.send((b"x-name", b"value")) == number(0x20, 5, 200) + b"\xbe"

    def test_the_smallest_size_is_told_before_the_last_one(self) -> None:
        ends = Ends()
        ends.send((b"x-name", b"value"))
        for size in (100, 0, 50, 1_000_000):
            ends.encoder.peer_table_bytes(size)
        assert ends.send((b":status", b"200")) == b"\x20" + number(0x20, 5, TABLE) + b"\x88"
        assert ends.table == []
        assert ends.send((b"x-name", b"value"))[0] == 0x40

    def test_the_size_may_go_down_and_up_again(self) -> None:
        ends = Ends()
        ends.encoder.peer_table_bytes(0)
        ends.encoder.peer_table_bytes(TABLE)
        assert ends.send((b":status", b"200")) == b"\x20" + number(0x20, 5, TABLE) + b"\x88"

    def test_without_a_table_nothing_is_indexed(self) -> None:
        ends = Ends()
        ends.encoder.peer_table_bytes(0)
        ends.send((b"x-name", b""))
        assert ends.send((b"x-name", b"")) == b"\x00" + plain(b"x-name") + plain(b"")

    def test_a_flood_of_settings_keeps_two_sizes(self) -> None:
        encoder = HeaderEncoder()
        for size in range(10_000):
            encoder.peer_table_bytes(size % 5_000)
        assert len(encoder.encode([])) <= 6


names = st.sampled_from([b":status", b"date", b"set-cookie", b"x-a", b"x-b", b"via"]) | st.binary(
    min_size=1, max_size=6
)
values = st.sampled_from([b"", b"200", b"a", b"b", b"c" * 200, b"d" * 1_500]) | st.binary(max_size=40)


@given(
    steps=st.lists(
        st.lists(st.tuples(names, values), max_size=12) | st.sampled_from([0, 40, 100, 300, 4_096, 70_000]), max_size=20
    )
)
def test_what_is_written_is_read_by_another_and_by_us(steps: list[list[Header] | int]) -> None:
    encoder, other, ours = HeaderEncoder(), OtherDecoder(max_header_list_size=1 << 30), HeaderDecoder(TABLE)
    for step in steps:
        if isinstance(step, int):
            encoder.peer_table_bytes(step)
            continue
        block = encoder.encode([step])
        assert [(name, value) for name, value in other.decode(block, raw=True)] == step
        assert ours.decode(block, WIDE).fields == step
        assert encoder._table.size == ours._table.size
        assert len(encoder._fields) == encoder._table.inserted - encoder._table.evicted
        assert set(encoder._names) == {name for name, _ in encoder._fields}


PARTS = [
    [(b":status", b"200")],
    [(b"server", b"chat"), (b"etag", b"1")],
    [(b"server", b"chat"), (b"set-cookie", b"a=b")],
    [(b"x-a", b"a" * 700), (b"x-b", b"b" * 700)],
    [(b"x-c", b"c" * 900), (b"x-d", b"d" * 900)],
    [],
    [(b"via", b"1.1 plexigate")],
]
"""Some do not fit into the table together."""


@given(steps=st.lists(st.lists(st.integers(0, len(PARTS) - 1), max_size=4), max_size=20), marked=st.booleans())
def test_parts_that_repeat_are_in_step_with_the_table(*, steps: list[list[int]], marked: bool) -> None:
    encoder, other = HeaderEncoder(), OtherDecoder(max_header_list_size=1 << 30)
    for step in steps:
        marks = frozenset({b"x-a"}) if marked and len(step) == 3 else frozenset()
        block = encoder.encode([PARTS[one] for one in step], marks)
        fields = [field for one in step for field in PARTS[one]]
        assert [(name, value) for name, value in other.decode(block, raw=True)] == fields


def test_a_part_behind_a_new_field_has_other_indices() -> None:
    encoder, other = HeaderEncoder(), OtherDecoder()
    for first in (PARTS[0], PARTS[0], [(b"x-new", b"1")]):
        block = encoder.encode([first, PARTS[6]])
        assert [(name, value) for name, value in other.decode(block, raw=True)] == [*first, *PARTS[6]]


def test_a_part_that_is_indexed_is_not_looked_at_again() -> None:
    encoder = HeaderEncoder()
    part = [(b":status", b"200"), (b"server", b"chat")]
    encoder.encode([part])
    assert encoder.encode([part]) == b"\x88\xbe"
    part[1] = (b"server", b"other")  # against its promise: nobody looks
    assert encoder.encode([part]) == b"\x88\xbe"


class TestMarks:
    def test_marked_fields_are_literals_whatever_the_tables_have(self) -> None:
        ends = Ends()
        fields = [(b":path", b"/"), (b"x-key", b"secret")]
        ends.send(*fields)
        marked = ends.encoder.encode([fields], frozenset({b":path", b"x-key"}))
        assert marked == b"\x14" + plain(b"/") + b"\x10" + plain(b"x-key") + plain(b"secret")
        read = ends.decoder.decode(marked, raw=True)
        assert [type(field) for field in read] == [NeverIndexedHeaderTuple] * 2
        assert ends.send(*fields) == b"\x84\xbe"

    def test_fields_beside_a_marked_one_are_indexed_as_ever(self) -> None:
        ends = Ends()
        fields = [(b"x-key", b"secret"), (b"x-name", b"value")]
        for expected in (b"\x40" + plain(b"x-name") + plain(b"value"), b"\xbe", b"\xbe"):
            block = ends.encoder.encode([fields], frozenset({b"x-key"}))
            assert block == b"\x10" + plain(b"x-key") + plain(b"secret") + expected
            ends.decoder.decode(block, raw=True)
        assert ends.table == [(b"x-name", b"value")]
