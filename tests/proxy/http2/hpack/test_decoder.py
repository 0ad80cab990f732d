"""Header blocks of a peer: the examples of the standard, the `hpack` package, and all kinds of malformed input."""

import tracemalloc
from collections.abc import Callable

import pytest
from hpack import Decoder as OtherDecoder
from hpack import Encoder as OtherEncoder
from hpack.exceptions import HPACKError
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http.head import Header
from proxy.http2.hpack.decoder import BlockLimits, DecodedFields, HeaderDecoder
from proxy.http2.hpack.never_indexed import NO_NAMES
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from tests.proxy.http2.hpack import header_blocks
from tests.proxy.http2.hpack.header_blocks import Example, coded, huffman, indexed, number, passing, plain

TABLE = 4096
WIDE = BlockLimits(count=1_000_000, list_bytes=1 << 26, field_bytes=1 << 24)
USUAL = BlockLimits(count=100, list_bytes=32_768, field_bytes=8_192)


def decode(block: bytes, limits: BlockLimits = USUAL) -> list[Header]:
    decoded = HeaderDecoder(TABLE).decode(block, limits)
    assert not decoded.is_too_large
    return decoded.fields


def is_too_large(block: bytes, limits: BlockLimits = USUAL) -> bool:
    decoded = HeaderDecoder(TABLE).decode(block, limits)
    assert not (decoded.is_too_large and decoded.fields)
    return decoded.is_too_large


def fault(block: bytes) -> str:
    with pytest.raises(ConnectionFault) as caught:
        HeaderDecoder(TABLE).decode(block, USUAL)
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR
    return caught.value.reason


@pytest.mark.parametrize(
    ("examples", "table_bytes"),
    [
        *(([one], TABLE) for one in header_blocks.SINGLE_FIELDS),
        (header_blocks.PLAIN_REQUESTS, TABLE),
        (header_blocks.CODED_REQUESTS, TABLE),
        (header_blocks.PLAIN_RESPONSES, header_blocks.RESPONSE_TABLE_BYTES),
        (header_blocks.CODED_RESPONSES, header_blocks.RESPONSE_TABLE_BYTES),
    ],
    ids=["C.2.1", "C.2.2", "C.2.3", "C.2.4", "C.3", "C.4", "C.5", "C.6"],
)
def test_the_examples_of_the_standard_are_read(examples: list[Example], table_bytes: int) -> None:
    decoder = HeaderDecoder(table_bytes)
    for example in examples:
        decoded = decoder.decode(example.block, USUAL)
        assert (decoded.fields, decoded.is_too_large) == (example.fields, False)
        assert decoder._table.size == example.size


class TestNumbers:
    """RFC 7541 5.1."""

    def test_the_examples_of_the_standard(self) -> None:
        # C.1.2: 1337 behind five bits is 31 154 10
        assert fault(b"\x3f\x9a\x0a" * 3) == "more than two updates of the table's size"
        assert decode(b"\x3f\x9a\x0a" + b"\x82") == [(b":method", b"GET")]

    def test_a_number_may_have_needless_octets(self) -> None:
        assert decode(b"\x00\x7f\x80\x80\x80\x00" + b"n" * 127 + b"\x00") == [(b"n" * 127, b"")]

    @pytest.mark.parametrize("first", [0xFF, 0x7F, 0x3F, 0x0F, 0x1F])
    def test_a_number_of_more_than_four_octets_behind_the_first_is_refused(self, first: int) -> None:
        assert fault(bytes([first, 0x80, 0x80, 0x80, 0x80, 0x00])) == "number too long"
        assert fault(bytes([first]) + b"\xff" * 1000) == "number too long"

    @pytest.mark.parametrize("first", [0xFF, 0x7F, 0x3F, 0x0F, 0x1F])
    @pytest.mark.parametrize("rest", [b"", b"\x80", b"\xff\xff\xff"])
    def test_a_number_that_is_cut_off_is_refused(self, first: int, rest: bytes) -> None:
        assert fault(bytes([first]) + rest) == "block ends inside a number"

    def test_the_largest_number_is_an_index_of_no_field(self) -> None:
        assert fault(b"\xff\xff\xff\xff\x7f") == "index of no field"


class TestStrings:
    """RFC 7541 5.2."""

    @pytest.mark.parametrize("first", [b"\x00", b"\x10", b"\x40"])
    def test_names_and_values_are_read_in_both_codings(self, first: bytes) -> None:
        for name in (plain(b"n\xff"), coded(b"n\xff")):
            for value in (plain(b"some value"), coded(b"some value")):
                assert decode(first + name + value) == [(b"n\xff", b"some value")]

    @pytest.mark.parametrize("first", [b"\x00", b"\x10", b"\x40"])
    def test_what_is_empty_is_left_to_others(self, first: bytes) -> None:
        assert decode(first + b"\x00\x00") == [(b"", b"")]
        assert decode(first + b"\x80\x80") == [(b"", b"")]

    @pytest.mark.parametrize(
        "block", [indexed(b"name", b"value"), b"\x41" + coded(b"/value"), b"\x0f\x11" + plain(b"v")]
    )
    def test_each_cut_is_refused(self, block: bytes) -> None:
        for length in range(1, len(block)):
            assert fault(block[:length]).startswith("block ends inside a ")

    def test_faults_of_the_huffman_code_end_the_connection(self) -> None:
        assert "padding" in fault(b"\x41\x81\x00")
        assert "an end inside" in fault(b"\x41\x84\xff\xff\xff\xff")
        assert "too much padding" in fault(b"\x41\x82\x1f\xff")

    def test_the_name_may_be_that_of_a_field_of_the_table(self) -> None:
        assert decode(indexed(b"name", b"a") + b"\x7e" + plain(b"b") + b"\x0f\x2f" + plain(b"c")) == [
            *((b"name", b"a"), (b"name", b"b"), (b"name", b"c"))
        ]


class TestIndices:
    """RFC 7541 2.3.3 and 6.1."""

    @pytest.mark.parametrize("block", [b"\x80", b"\xbe", b"\x7e\x00", b"\x0f\x2f\x00", indexed(b"a", b"b") + b"\xbf"])
    def test_an_index_of_no_field_is_refused(self, block: bytes) -> None:
        assert fault(block) == "index of no field"

    def test_a_field_that_was_not_indexed_has_no_index(self) -> None:
        assert fault(passing(b"a", b"b") + b"\xbe") == "index of no field"
        assert fault(b"\x10" + plain(b"a") + plain(b"b") + b"\xbe") == "index of no field"

    def test_a_field_of_the_table_is_one_object(self) -> None:
        first, second, third = decode(indexed(b"name", b"value") + b"\xbe\xbe")
        assert first is second
        assert second is third


class TestSizeUpdates:
    """RFC 7541 4.2 and 6.3."""

    def test_two_may_stand_at_the_start(self) -> None:
        assert decode(b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]
        assert fault(b"\x20\x20\x20\x82") == "more than two updates of the table's size"

    @pytest.mark.parametrize("field", [b"\x82", indexed(b"a", b"b"), passing(b"a", b"b")])
    def test_none_may_stand_behind_a_field(self, field: bytes) -> None:
        assert fault(field + b"\x20") == "update of the table's size behind a field"
        assert fault(b"\x20" + field + b"\x20") == "update of the table's size behind a field"

    def test_what_was_announced_is_the_most(self) -> None:
        assert decode(number(0x20, 5, TABLE)) == []
        assert fault(number(0x20, 5, TABLE + 1)) == "table larger than announced"
        assert fault(number(0x20, 5, (1 << 28) - 1)) == "table larger than announced"

    def test_they_evict(self) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"a", b"b"), USUAL)
        assert decoder.decode(b"\xbe", USUAL).fields == [(b"a", b"b")]
        decoder.decode(b"\x20", USUAL)
        with pytest.raises(ConnectionFault, match="index of no field"):
            decoder.decode(b"\xbe", USUAL)

    def test_a_block_of_nothing_else_has_no_fields(self) -> None:
        assert decode(b"") == decode(b"\x20") == []


class TestLimits:
    """A list that is too large is dropped, and the table stays in step."""

    def test_fields_are_counted(self) -> None:
        limits = BlockLimits(count=3, list_bytes=32_768, field_bytes=8_192)
        for field in (b"\x82", passing(b"a", b"b"), indexed(b"a", b"b")):
            assert not is_too_large(field * 3, limits)
            assert is_too_large(field * 4, limits)

    def test_octets_of_the_list_are_counted_with_thirty_two_for_each_field(self) -> None:
        limits = BlockLimits(count=100, list_bytes=2 * (32 + 10), field_bytes=8_192)
        assert not is_too_large(b"\x82\x82", limits)
        assert is_too_large(b"\x82\x83", limits)
        assert not is_too_large(passing(b"name", b"value!") * 2, limits)
        assert is_too_large(passing(b"name", b"value!") + passing(b"name", b"value!!"), limits)

    def test_octets_of_one_field_are_counted(self) -> None:
        limits = BlockLimits(count=100, list_bytes=32_768, field_bytes=10)
        for strings in ((plain(b"name"), plain(b"value!")), (coded(b"name"), coded(b"value!"))):
            assert not is_too_large(b"\x00" + b"".join(strings), limits)
        for text in (b"value!!", b"value! and much more"):
            for coding in (plain, coded):
                for first in (b"\x00", b"\x10", b"\x40"):
                    assert is_too_large(first + plain(b"name") + coding(text), limits)
                    assert is_too_large(first + coding(text) + plain(b"name"), limits)

    def test_crumbs_of_cookies_are_one_field_but_all_their_octets_count(self) -> None:
        crumbs = b"".join(passing(b"cookie", b"a=%d" % place) for place in range(100))
        assert len(decode(b"\x82" * 99 + crumbs)) == 199
        assert is_too_large(b"\x82" * 100 + crumbs)
        assert not is_too_large(passing(b"cookie", b"c" * 12) * 655)
        assert is_too_large(passing(b"cookie", b"c" * 12) * 656)

    def test_a_field_of_the_table_is_judged_by_the_limits_of_each_block(self) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"a", b"b" * 100), USUAL)
        small = BlockLimits(count=100, list_bytes=32_768, field_bytes=100)
        assert decoder.decode(b"\xbe", small).is_too_large
        assert not decoder.decode(b"\xbe", USUAL).is_too_large

    @pytest.mark.parametrize("coding", [plain, coded])
    def test_fields_over_a_limit_are_in_the_table_all_the_same(self, coding: Callable[[bytes], bytes]) -> None:
        decoder = HeaderDecoder(TABLE)
        none = BlockLimits(count=0, list_bytes=0, field_bytes=0)
        block = b"\x82" + b"".join(b"\x40" + coding(b"%d" % place) + coding(b"v" * place) for place in range(10))
        assert decoder.decode(block, none).is_too_large
        assert decoder.decode(b"\xbe\xc7", USUAL).fields == [(b"9", b"v" * 9), (b"0", b"")]

    @pytest.mark.parametrize("coding", [plain, coded])
    @pytest.mark.parametrize("length", [TABLE - 32, 3 * TABLE, 8_193])
    def test_a_field_larger_than_the_table_empties_it(self, coding: Callable[[bytes], bytes], length: int) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"a", b"b"), USUAL)
        assert decoder.decode(b"\x40" + plain(b"n") + coding(b"v" * length), USUAL).is_too_large is (length >= 8_192)
        with pytest.raises(ConnectionFault, match="index of no field"):
            decoder.decode(b"\xbe", USUAL)

    def test_what_follows_is_judged_all_the_same(self) -> None:
        too_large = b"\x82" * 101
        assert fault(too_large + b"\x80") == "index of no field"
        assert fault(too_large + b"\x20") == "update of the table's size behind a field"
        assert "too much padding" in fault(too_large + b"\x00\x00\x82\x1f\xff")
        assert fault(too_large + b"\x00\x00\x05") == "block ends inside a string"

    @pytest.mark.parametrize("limits", [USUAL, BlockLimits(count=1_000_000, list_bytes=32_768, field_bytes=8_192)])
    @pytest.mark.at_length
    def test_ten_bytes_of_memory_for_each_byte_of_an_attacker(self, limits: BlockLimits) -> None:
        """The largest field of the table, named 60,000 times (CVE-2016-6581), and crumbs (CVE-2026-49975)."""
        for field in (b"v" * (TABLE - 33), b""):
            decoder = HeaderDecoder(TABLE)
            decoder.decode(indexed(b"c" if field else b"cookie", field), USUAL)
            for count in (1_000, 60_000):
                block = b"\xbe" * count
                tracemalloc.start()
                try:
                    decoder.decode(block, limits)
                    _, most = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
                assert most < 10 * count + 2_000

    @pytest.mark.parametrize("again", [b"\xbe", b"\x7e\x00", b"\x0f\x2f\x00"], ids=["field", "name", "name_alone"])
    def test_a_list_that_is_much_larger_than_its_block_is_too_large(self, again: bytes) -> None:
        """What the table holds may be named once, not seven times, whether as a field or as a name."""
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"n" * 3_900, b""), USUAL)
        assert not decoder.decode(again, USUAL).is_too_large
        if again == b"\x7e\x00":
            decoder.decode(indexed(b"n" * 3_900, b""), USUAL)
        assert decoder.decode(again * 7, USUAL).is_too_large
        assert not decoder.decode(b"\xbe", USUAL).is_too_large

    def test_all_of_the_table_may_be_named_with_what_huffman_saves(self) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(b"".join(indexed(b"name-%02d" % one, b"v" * 80) for one in range(34)), USUAL)
        block = bytes(range(0xBE, 0xBE + 34)) + b"\x82\x87\x84" + (b"\x00" + coded(b"x") + coded(b"0" * 200)) * 40
        assert not decoder.decode(block, USUAL).is_too_large

    @pytest.mark.parametrize("fields_before", [0, 101])
    @pytest.mark.at_length
    def test_a_string_over_a_limit_is_not_built(self, fields_before: int) -> None:
        """Over its own limit, or behind a list over its limit."""
        length = 100_000 if fields_before == 0 else USUAL.field_bytes
        block = b"\x82" * fields_before + b"\x00\x00" + coded(b"0" * length)
        limits = BlockLimits(count=100, list_bytes=32_768, field_bytes=100 if fields_before == 0 else USUAL.field_bytes)
        decoder = HeaderDecoder(TABLE)
        tracemalloc.start()
        try:
            assert decoder.decode(block, limits).is_too_large
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 5_000

    def test_a_list_that_fits_takes_a_few_times_its_size(self) -> None:
        """The 32 octets that each field counts are for that (RFC 9113 6.5.2)."""
        block = b"\x0f\x11\x02ab" * 819
        tracemalloc.start()
        try:
            assert not is_too_large(block)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 5 * USUAL.list_bytes


class TestRepeatedBlocks:
    """A block that equals the last one gives the same object."""

    def decoded_twice(self, first: bytes, second: bytes) -> tuple[DecodedFields, DecodedFields]:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"a", b"b") + indexed(b"c", b"d"), USUAL)
        return decoder.decode(first, USUAL), decoder.decode(second, USUAL)

    @pytest.mark.parametrize("block", [b"", b"\x82\xbe\xbf", passing(b"a", b"b"), b"\x82" * 101])
    def test_the_same_octets_give_the_same_object(self, block: bytes) -> None:
        first, second = self.decoded_twice(block, bytes(bytearray(block)))
        assert first is second

    @pytest.mark.parametrize("block", [indexed(b"a", b"b"), b"\x3f\xe1\x1f\x82", b"\x40\x00" + plain(b"v" * TABLE)])
    def test_a_block_that_changes_the_table_does_so_each_time(self, block: bytes) -> None:
        first, second = self.decoded_twice(block, block)
        assert first is not second
        assert first.fields == second.fields

    def test_another_block_gives_another_object(self) -> None:
        first, second = self.decoded_twice(b"\xbe", b"\xbf")
        assert (first.fields, second.fields) == ([(b"c", b"d")], [(b"a", b"b")])

    def test_a_changed_table_gives_other_fields(self) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"a", b"b"), USUAL)
        assert decoder.decode(b"\xbe", USUAL).fields == [(b"a", b"b")]
        decoder.decode(indexed(b"c", b"d"), USUAL)
        assert decoder.decode(b"\xbe", USUAL).fields == [(b"c", b"d")]

    def test_other_limits_are_judged_anew(self) -> None:
        decoder = HeaderDecoder(TABLE)
        assert not decoder.decode(b"\x82\x82", USUAL).is_too_large
        assert decoder.decode(b"\x82\x82", BlockLimits(count=1, list_bytes=1_000, field_bytes=100)).is_too_large

    def test_a_long_block_is_not_kept(self) -> None:
        first, second = self.decoded_twice(passing(b"a", b"b" * 1_100), passing(b"a", b"b" * 1_100))
        assert first is not second


class TestRepeatedLiterals:
    """A literal that is not indexed gives the same object where it stood in the last block."""

    def again(self, field: bytes, before: bytes = b"", behind: bytes = b"") -> tuple[object, object]:
        """A field in two blocks, the second of which has further ones around it."""
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"some", b"entry"), USUAL)
        (first,) = decoder.decode(field, USUAL).fields
        second = decoder.decode(before + field + behind, USUAL).fields[before.count(b"\x82")]
        assert first == second
        return first, second

    @pytest.mark.parametrize(
        "field",
        [b"\x04" + coded(b"/path"), b"\x0f\x1a" + plain(b'"tag"'), passing(b"x-name", b"value"), b"\x0f\x2d\x01v"],
    )
    def test_the_same_octets_give_the_same_object(self, field: bytes) -> None:
        first, second = self.again(field, b"\x82\x82", passing(b"a", b"b"))
        assert first is second

    @pytest.mark.parametrize(
        "field",
        [b"\x0f\x08" + plain(b"secret"), passing(b"cookie", b"a=b"), b"\x14" + plain(b"/marked"), b"\x0f\x2f\x01v"],
    )
    def test_secrets_marked_ones_and_names_of_the_dynamic_table_are_read_again(self, field: bytes) -> None:
        first, second = self.again(field, b"\x82")
        assert first is not second

    def test_a_name_of_the_dynamic_table_is_looked_up_each_time(self) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"one", b""), USUAL)
        assert decoder.decode(b"\x0f\x2f\x01v", USUAL).fields == [(b"one", b"v")]
        decoder.decode(indexed(b"other", b"") + b"\x0f\x2f\x01v", USUAL)
        assert decoder.decode(b"\x0f\x2f\x01v\x82", USUAL).fields[0] == (b"other", b"v")

    def test_what_begins_alike_is_another_literal(self) -> None:
        decoder = HeaderDecoder(TABLE)
        for value in (b"/a", b"/ab", b"/a", b"/", b""):
            assert decoder.decode(b"\x04" + plain(value), USUAL).fields == [(b":path", value)]
            assert decoder.decode(b"\x04" + coded(value), USUAL).fields == [(b":path", value)]

    def test_it_is_judged_by_the_limits_of_each_block(self) -> None:
        decoder = HeaderDecoder(TABLE)
        assert not decoder.decode(passing(b"a", b"b" * 100), USUAL).is_too_large
        small = BlockLimits(count=100, list_bytes=32_768, field_bytes=100)
        assert decoder.decode(passing(b"a", b"b" * 100), small).is_too_large

    def test_few_are_kept_and_none_of_a_long_block(self) -> None:
        decoder = HeaderDecoder(TABLE)
        decoder.decode(b"".join(passing(b"a", b"%d" % one) for one in range(20)), USUAL)
        assert len(decoder._literals) == 8
        decoder.decode(passing(b"a", b"b" * 1_100), USUAL)
        assert decoder._literals == []


names = st.sampled_from([b":path", b"cookie", b"date", b"x-name", b"", b"a" * 40]) | st.binary(max_size=8)
values = st.sampled_from([b"", b"/", b"GET", b"text/html", b"v" * 300]) | st.binary(max_size=60)
lists = st.lists(st.tuples(names, values, st.booleans()), max_size=12)


@given(blocks=st.lists(st.tuples(lists, st.booleans(), st.none() | st.integers(0, TABLE)), max_size=8))
def test_what_another_encoder_wrote_is_read(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]],
) -> None:
    encoder, decoder = OtherEncoder(), HeaderDecoder(TABLE)
    for fields, is_coded, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(fields, huffman=is_coded), WIDE).fields == [one[:2] for one in fields]


fragments = st.one_of(
    st.integers(0, 255).map(lambda octet: bytes([octet])),
    st.builds(indexed, names, values),
    st.builds(passing, names, values),
    st.builds(lambda index: number(0x80, 7, index), st.integers(0, 80)),
    st.builds(lambda index, value: number(0x40, 6, index) + coded(value), st.integers(0, 80), values),
    st.builds(lambda size: number(0x20, 5, size), st.integers(0, 5000)),
    st.builds(lambda index, value: number(0x00, 4, index) + plain(value), st.integers(0, 80), st.binary(max_size=2)),
    st.builds(lambda text: b"\x10" + coded(text) + coded(text), values),
    st.binary(max_size=5),
)


@settings(max_examples=300)
@given(blocks=st.lists(st.lists(fragments, max_size=8).map(b"".join), max_size=4))
def test_any_octets_are_read_as_another_decoder_does_or_are_a_fault(blocks: list[bytes]) -> None:
    """There is no other exception, and nothing that another refuses is taken."""
    decoder, other = HeaderDecoder(TABLE), OtherDecoder(max_header_list_size=1 << 30)
    for block in blocks:
        ours, expected = fields_or_reason(decoder, block), other_fields(other, block)
        if isinstance(ours, str):
            assert expected is None or is_only_refused_here(ours)
            return
        assert ours == expected


def fields_or_reason(decoder: HeaderDecoder, block: bytes) -> list[Header] | str:
    try:
        return decoder.decode(block, WIDE).fields
    except ConnectionFault as error:
        return error.reason if error.code == ErrorCode.COMPRESSION_ERROR else "wrong code"


def other_fields(other: OtherDecoder, block: bytes) -> list[Header] | None:
    try:
        return [(name, value) for name, value in other.decode(block, raw=True)]
    except HPACKError:
        return None


def is_only_refused_here(reason: str) -> bool:
    return reason in {"more than two updates of the table's size", "number too long"} or "padding" in reason


@given(block=st.lists(fragments, max_size=12).map(b"".join), count=st.integers(0, 5), size=st.integers(0, 400))
def test_no_limit_is_ever_exceeded(block: bytes, count: int, size: int) -> None:
    limits = BlockLimits(count=count, list_bytes=size, field_bytes=60)
    decoder, unlimited = HeaderDecoder(TABLE), HeaderDecoder(TABLE)
    try:
        whole = unlimited.decode(block, WIDE).fields
    except ConnectionFault as error:
        with pytest.raises(ConnectionFault, match=error.reason):
            decoder.decode(block, limits)
        return
    crumbs = sum(name == b"cookie" for name, _ in whole)
    octets = [len(name) + len(value) for name, value in whole]
    fits = (
        len(whole) - max(0, crumbs - 1) <= count
        and sum(octets) + 32 * len(whole) <= size
        and max(octets, default=0) <= 60
    )
    decoded = decoder.decode(block, limits)
    assert (decoded.fields, decoded.is_too_large) == ((whole, False) if fits else ([], True))
    # and the tables are in step
    places = range(62, 62 + unlimited._table.inserted - unlimited._table.evicted)
    assert [decoder._table.entry(place).field for place in places] == [
        unlimited._table.entry(place).field for place in places
    ]
    assert (decoder._table.size, decoder._table.capacity) == (unlimited._table.size, unlimited._table.capacity)


@pytest.mark.at_length
def test_work_is_linear_in_the_octets() -> None:
    """A quadratic decoder would take minutes."""
    for block in (
        b"\xbe" * 200_000,
        indexed(b"", b"") * 30_000,
        b"\x00\x00" + number(0x80, 7, 50_000) + huffman(b"0" * 80_000),
        b"\x00\x00" + number(0x80, 7, 75_000) + huffman(b"\n" * 20_000),
    ):
        decoder = HeaderDecoder(TABLE)
        decoder.decode(indexed(b"a", b"b"), USUAL)
        assert decoder.decode(block, USUAL).is_too_large


def never_indexed(name: bytes, value: bytes) -> bytes:
    """A literal field that no table may hold."""
    return b"\x10" + plain(name) + plain(value)


class TestMarks:
    def test_names_of_fields_that_are_never_indexed_are_kept(self) -> None:
        block = (
            passing(b"x", b"1") + never_indexed(b"x-key", b"2") + never_indexed(b"x-key", b"3") + b"\x14" + plain(b"/a")
        )
        decoded = HeaderDecoder(TABLE).decode(block, USUAL)
        assert decoded.never_indexed == {b"x-key", b":path"}
        assert [name for name, _ in decoded.fields] == [b"x", b"x-key", b"x-key", b":path"]

    def test_secrets_need_no_mark(self) -> None:
        block = never_indexed(b"authorization", b"x") + indexed(b"x-name", b"1")
        assert HeaderDecoder(TABLE).decode(block, USUAL).never_indexed is NO_NAMES

    def test_marks_of_another_coder_are_kept(self) -> None:
        block = OtherEncoder().encode([NeverIndexedHeaderTuple(b"x-key", b"1"), HeaderTuple(b"x", b"2")])
        assert HeaderDecoder(TABLE).decode(block, USUAL).never_indexed == {b"x-key"}

    def test_a_list_that_is_too_large_has_no_marks(self) -> None:
        limits = BlockLimits(count=2, list_bytes=32_768, field_bytes=16)
        for block in (
            never_indexed(b"x-key", b"1") + passing(b"x", b"2") * 2,
            never_indexed(b"x-key", b"1") + never_indexed(b"x", b"2" * 20) + never_indexed(b"x", b"2"),
            never_indexed(b"x-key", b"1") + indexed(b"x", b"2" * 20),
        ):
            decoded = HeaderDecoder(TABLE).decode(block, limits)
            assert (decoded.is_too_large, decoded.fields, decoded.never_indexed) == (True, [], NO_NAMES)
