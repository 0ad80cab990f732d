"""The Huffman code of header strings, against the `hpack` package and bit by bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2.hpack import huffman as module
from proxy.http2.hpack.huffman import decode_huffman
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.processes.hot_path import hot_path
from tests.proxy.http2.hpack.header_blocks import huffman

ANY = 1 << 20


def decode(data: bytes, limit: int = ANY) -> bytes | None:
    return decode_huffman(data, 0, len(data), limit)


def fault(bits: str) -> str:
    assert len(bits) % 8 == 0
    with pytest.raises(ConnectionFault) as caught:
        decode(int(bits, 2).to_bytes(len(bits) // 8))
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR
    return caught.value.reason


@pytest.mark.parametrize("octet", range(256))
@pytest.mark.at_length
def test_each_octet_has_its_code(octet: int) -> None:
    for count in (1, 2, 3, 7, 40):
        assert decode(huffman(bytes([octet]) * count)) == bytes([octet]) * count


@pytest.mark.at_length
def test_each_octet_is_read_behind_each_other_one() -> None:
    """A look-up may see two codes at once."""
    for first in range(256):
        text = b"".join([bytes((first, second)) for second in range(256)])
        assert decode(huffman(text)) == text
        assert decode(huffman(b"-" + text)) == b"-" + text


def test_an_empty_string_has_no_code() -> None:
    assert decode(b"") == b""


@given(text=st.binary(max_size=200) | st.text(st.characters(max_codepoint=127)).map(str.encode), before=st.binary())
def test_what_another_coder_wrote_is_read(text: bytes, before: bytes) -> None:
    code = huffman(text)
    assert decode_huffman(before + code + b"\0", len(before), len(before) + len(code), ANY) == text


def test_the_end_of_a_string_may_not_be_sent() -> None:
    assert "an end inside" in fault("1" * 32)
    # "a", the end, "a"
    assert "an end inside" in fault("00011" + "1" * 30 + "00011")
    assert "an end inside" in fault("00011" + "1" * 30 + "11111")


def test_padding_is_shorter_than_an_octet() -> None:
    assert decode(bytes([0b00011111])) == b"a"
    assert decode(bytes([0b00011000, 0b11111111])) == b"aa"
    assert "too much padding" in fault("00011111" + "1" * 8)
    assert "too much padding" in fault("1" * 8)
    assert "too much padding" in fault("0" * 40 + "1" * 16)


@pytest.mark.parametrize("padding", ["000", "110", "011", "101"])
def test_padding_is_of_ones(padding: str) -> None:
    assert fault("00011" + padding) == "padding of a Huffman string is not of ones"


def test_a_code_that_is_cut_off_is_no_padding() -> None:
    whole = "".join(f"{octet:08b}" for octet in huffman(b"\n"))
    for length in (8, 16, 24):
        assert "too much padding" in fault(whole[:length])


@given(data=st.binary(max_size=60))
def test_any_octets_are_a_string_or_a_fault(data: bytes) -> None:
    """What is a string has this very code: there is no second one."""
    try:
        text = decode(data)
    except ConnectionFault:
        return
    assert text is not None
    assert huffman(text) == data


@given(text=st.binary(max_size=60) | st.text("ace012-", max_size=60).map(str.encode), limit=st.integers(0, 70))
def test_more_than_the_limit_is_not_built(text: bytes, limit: int) -> None:
    assert decode(huffman(text), limit) == (text if len(text) <= limit else None)


def test_what_is_not_built_is_judged_all_the_same() -> None:
    with pytest.raises(ConnectionFault):
        decode(huffman(b"a" * 100) + b"\xff\xff", 0)


@pytest.mark.skipif(hot_path() != "compiled", reason="the sources alone have no C")
@given(data=st.binary(max_size=60) | st.binary(max_size=60).map(huffman), limit=st.integers(0, 70))
def test_c_and_python_read_the_same(data: bytes, limit: int) -> None:
    tables = (module._LENGTHS, module._FIRST_SYMBOLS, module._SYMBOLS)
    assert module._read_codes is not module.read_codes
    for start in range(len(data) + 1):
        read = module.read_codes(data, start, len(data), limit, *tables)
        assert module._read_codes(data, start, len(data), limit, *tables) == read


@pytest.mark.skipif(hot_path() != "compiled", reason="the sources alone have no C")
@pytest.mark.parametrize(("start", "end", "limit"), [(-1, 2, 9), (0, 4, 9), (2, 1, 9), (0, 3, -1), (0, 1 << 70, 9)])
def test_c_reads_nothing_but_the_data(start: int, end: int, limit: int) -> None:
    tables = (module._LENGTHS, module._FIRST_SYMBOLS, module._SYMBOLS)
    with pytest.raises((ValueError, OverflowError)):
        module._read_codes(b"abc", start, end, limit, *tables)
    for bad in (tables[:2], (b"", *tables[1:]), (tables[0], b"", tables[2])):
        with pytest.raises(TypeError):
            module._read_codes(b"abc", 0, 3, 9, *bad)
