"""Whatever the decoder takes, every other reader takes for the same body, in whatever pieces it comes."""

from collections.abc import Callable, Iterable

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.chunked import LAST_CHUNK, ChunkedDecoder, ChunkLimits, encode_chunk, encode_trailers, framed
from proxy.http.fields import sort_request_fields
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import MalformedMessage

LIMITS = ChunkLimits(line_bytes=64, overhead_bytes=400, trailer_bytes=100, trailer_count=3)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


Decode = Callable[[bytes, ChunkLimits], tuple[ChunkedDecoder, bytes]]


def whole(raw: bytes, limits: ChunkLimits = LIMITS) -> tuple[ChunkedDecoder, bytes]:
    decoder = ChunkedDecoder(limits, Clock())
    return decoder, decoder.receive_data(raw)


def byte_by_byte(raw: bytes, limits: ChunkLimits = LIMITS) -> tuple[ChunkedDecoder, bytes]:
    decoder = ChunkedDecoder(limits, Clock())
    return decoder, b"".join([decoder.receive_data(raw[place : place + 1]) for place in range(len(raw))])


both_ways = pytest.mark.parametrize("decode", [whole, byte_by_byte])


@both_ways
@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"5;a\r\nhello\r\n0;last=1\r\n\r\n", b"hello"),
        (b'5;a=b;c="d;\\"e\\\\ \t\xff"\r\nhello\r\n0\r\n\r\n', b"hello"),
        (b'5;a=""\r\nhello\r\n0\r\n\r\n', b"hello"),
    ],
)
def test_body_is_decoded(decode: Decode, raw: bytes, body: bytes) -> None:
    decoder, decoded = decode(raw, LIMITS)
    assert decoded == body
    assert decoder.finished
    assert decoder.excess == b""
    assert decoder.trailers == []


@both_ways
def test_body_is_not_finished_before_its_last_byte(decode: Decode) -> None:
    raw = b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
    for length in range(len(raw)):
        assert not decode(raw[:length], LIMITS)[0].finished
    assert decode(raw, LIMITS)[0].finished


@both_ways
def test_bytes_behind_the_end_are_kept(decode: Decode) -> None:
    decoder, body = decode(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", LIMITS)
    assert body == b"a"
    assert decoder.finished
    assert decoder.excess == b"GET / HTTP/1.1\r\n\r\n"


@both_ways
def test_trailers_are_returned(decode: Decode) -> None:
    decoder, _ = decode(b"0\r\nX-Sum: 1\r\nEmpty:\r\nx-sum:\t2 \r\n\r\nrest", LIMITS)
    assert decoder.trailers == [(b"X-Sum", b"1"), (b"Empty", b""), (b"x-sum", b"2")]
    assert decoder.excess == b"rest"


@both_ways
@pytest.mark.parametrize(
    "raw",
    [
        # Sizes that lenient number parsers take.
        b"\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"0_5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\t\r\nhello\r\n",
        b"5\x0b\r\nhello\r\n",
        b"\xd9\xa5\r\nhello\r\n",
        b"g\r\nhello\r\n",
        b"5h\r\nhello\r\n",
        b"00000000000000005\r\nhello\r\n",
        b"20000000000000\r\nhello\r\n",
        b"ffffffffffffffff\r\nhello\r\n",
        b"10000000000000005\r\nhello\r\n",
        # Line ends.
        b"5\nhello\r\n",
        b"5\rhello\r\n",
        b"5\r\r\nhello\r\n",
        b"5\n\r\nhello\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"0\r\n\n",
        b"0\n\n",
        b"0\n\r\n",
        b"0\r\n\rX\n",
        # Extensions.
        b"5;\r\nhello\r\n",
        b"5;\nhello\r\n",
        b"5; a\r\nhello\r\n",
        b"5 ;a\r\nhello\r\n",
        b"5;a =b\r\nhello\r\n",
        b"5;a= b\r\nhello\r\n",
        b"5;a=\r\nhello\r\n",
        b"5;=b\r\nhello\r\n",
        b"5;a;;b\r\nhello\r\n",
        b"5;a=\rb\r\nhello\r\n",
        b"5;a=b\rc\r\nhello\r\n",
        b"5;a=\x00\r\nhello\r\n",
        b'5;a="\r\nhello\r\n',
        b'5;a="b\r\n"\r\nhello\r\n',
        b'5;a="b\rc"\r\nhello\r\n',
        b'5;a="b\\\r\nhello\r\n',
        b'5;a="b"c\r\nhello\r\n',
        b'5;a="\x7f"\r\nhello\r\n',
        b'5;"a"=b\r\nhello\r\n',
        # Trailers.
        b"0\r\nX\r\n\r\n",
        b"0\r\n: a\r\n\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\n X: a\r\n\r\n",
        b"0\r\nX: a\r\n b\r\n\r\n",
        b"0\r\nX: a\n\r\n",
        b"0\r\nX: a\rY: b\r\n\r\n",
        b"0\r\nX: a\x00\r\n\r\n",
        b"0\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_deviation_is_refused(decode: Decode, raw: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(raw + b"\r\n\r\n", LIMITS)
    assert caught.value.status == 400


def test_malformed_response_is_the_fault_of_the_upstream() -> None:
    with pytest.raises(MalformedMessage) as caught:
        ChunkedDecoder(LIMITS, Clock(), 502).receive_data(b"x\r\n")
    assert caught.value.status == 502


def reason(decode: Decode, raw: bytes, limits: ChunkLimits = LIMITS) -> str:
    with pytest.raises(MalformedMessage) as caught:
        decode(raw, limits)
    return caught.value.reason


@both_ways
def test_size_line_is_bounded_before_it_ends(decode: Decode) -> None:
    decode(b"5;a=" + b"b" * 58 + b"\r\n", LIMITS)
    assert reason(decode, b"5;a=" + b"b" * 59 + b"\r\n") == "line of the chunked coding too long"
    assert reason(decode, b"5;a=" + b"b" * 61) == "line of the chunked coding too long"


@both_ways
def test_small_chunks_are_cut_when_their_overhead_is_used_up(decode: Decode) -> None:
    # Each has 5 bytes of overhead for 1 of body: 4 more than it is worth.
    decode(b"1\r\na\r\n" * 100, LIMITS)
    assert reason(decode, b"1\r\na\r\n" * 100 + b"1\r\n") == "too many small chunks"


@both_ways
def test_chunks_that_are_worth_their_overhead_are_never_cut(decode: Decode) -> None:
    assert decode(b"5\r\nhello\r\n" * 1000, LIMITS)[1] == b"hello" * 1000


@both_ways
def test_large_chunk_buys_no_small_ones(decode: Decode) -> None:
    assert reason(decode, b"fff\r\n" + b"a" * 4095 + b"\r\n" + b"1\r\na\r\n" * 101) == "too many small chunks"


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"14;a=0123456789\r\n" + b"a" * 20 + b"\r\n"])
def test_what_is_not_body_is_forgiven_with_time(chunk: bytes) -> None:
    clock = Clock()
    decoder = ChunkedDecoder(LIMITS, clock)
    for _ in range(100):
        assert decoder.receive_data(chunk * 30)
        clock.now += 1.0
    with pytest.raises(MalformedMessage):
        decoder.receive_data(chunk * 300)


def test_a_quiet_time_is_not_saved_up() -> None:
    clock = Clock()
    decoder = ChunkedDecoder(LIMITS, clock)
    clock.now += 86_400.0
    with pytest.raises(MalformedMessage):
        decoder.receive_data(b"1\r\na\r\n" * 250)


@both_ways
def test_extensions_are_bounded_in_total_whatever_the_body(decode: Decode) -> None:
    chunk = b"3f;extension=123456789\r\n" + b"a" * 63 + b"\r\n"
    assert decode(chunk * 20, LIMITS)[1] == b"a" * 63 * 20
    assert reason(decode, chunk * 21) == "too many chunk extensions"


@both_ways
def test_chunk_that_runs_on_is_noticed_without_its_line_end(decode: Decode) -> None:
    decode(b"5\r\nhelloXX", LIMITS)
    assert reason(decode, b"5\r\nhelloXXX") == "line of the chunked coding too long"


@both_ways
def test_trailers_are_bounded_in_number_and_size(decode: Decode) -> None:
    assert len(decode(b"0\r\n" + b"A: b\r\n" * 3 + b"\r\n", LIMITS)[0].trailers) == 3
    assert reason(decode, b"0\r\n" + b"A: b\r\n" * 4 + b"\r\n") == "too many trailer fields"
    assert decode(b"0\r\nA: " + b"b" * 93 + b"\r\n\r\n", LIMITS)[0].finished
    assert reason(decode, b"0\r\nA: " + b"b" * 94 + b"\r\n\r\n") == "line of the chunked coding too long"
    assert (
        reason(decode, b"0\r\n" + (b"A: " + b"b" * 45 + b"\r\n") * 2 + b"\r\n") == "line of the chunked coding too long"
    )


def test_large_chunk_in_one_piece_is_not_copied_in_parts() -> None:
    decoder = ChunkedDecoder(LIMITS, Clock())
    decoder.receive_data(b"fffff\r\n")
    piece = b"a" * 65_536
    assert decoder.receive_data(piece) is piece


@pytest.mark.at_length
def test_long_body_byte_by_byte_takes_linear_time() -> None:
    body = b"a" * 300_000
    assert byte_by_byte(encode_chunk(body) + LAST_CHUNK)[1] == body


def test_encoder_writes_what_the_rfc_says() -> None:
    assert encode_chunk(b"hello world, hello") == b"12\r\nhello world, hello\r\n"
    assert encode_chunk(b"") == b""
    assert encode_trailers([]) == LAST_CHUNK == b"0\r\n\r\n"
    assert encode_trailers([(b"A", b"b"), (b"C", b"")]) == b"0\r\nA: b\r\nC: \r\n\r\n"


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=20))
def test_encoded_body_is_decoded_in_any_pieces(parts: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(map(encode_chunk, parts)) + encode_trailers([(b"A", b"b")])
    decoder = ChunkedDecoder(
        ChunkLimits(line_bytes=64, overhead_bytes=10_000, trailer_bytes=100, trailer_count=3), Clock()
    )
    body = b""
    for cut in cuts:
        body += decoder.receive_data(raw[:cut])
        raw = raw[cut:]
    body += decoder.receive_data(raw)
    assert body == b"".join(parts)
    assert decoder.finished
    assert decoder.trailers == [(b"A", b"b")]


class Reader:
    """What llhttp makes of a body."""

    def __init__(self) -> None:
        self.body = b""
        self.is_complete = False
        self.trailers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.trailers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.trailers.clear()

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True


def assert_others_agree(raw: bytes) -> bool:
    """Say whether the body is taken and complete; check that it is then the same for both ways and for llhttp."""
    try:
        decoder, body = whole(raw)
    except MalformedMessage:
        assert reason(byte_by_byte, raw) == reason(whole, raw)
        return False
    again_decoder, again_body = byte_by_byte(raw)
    assert (again_body, again_decoder.finished, again_decoder.excess, again_decoder.trailers) == (
        body,
        decoder.finished,
        decoder.excess,
        decoder.trailers,
    )
    if not decoder.finished:
        return False
    reader = Reader()
    parser = httptools.HttpRequestParser(reader)
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.feed_data(raw[: len(raw) - len(decoder.excess)])
    assert (reader.body, reader.is_complete, reader.trailers) == (body, True, decoder.trailers)
    return True


def mutations(raw: bytes) -> Iterable[bytes]:
    for place in range(len(raw)):
        yield raw[:place] + raw[place + 1 :]
        for code in range(256):
            yield raw[:place] + bytes([code]) + raw[place:]
            yield raw[:place] + bytes([code]) + raw[place + 1 :]


@pytest.mark.parametrize(
    "raw",
    [b"2\r\nhi\r\n0\r\n\r\n", b"1;a=b\r\nx\r\n0\r\n\r\n", b'1;a="\\b"\r\nx\r\n0\r\n\r\n', b"0\r\nA: b\r\n\r\n"],
)
@pytest.mark.at_length
def test_every_byte_in_every_place_is_read_as_others_read_it(raw: bytes) -> None:
    assert assert_others_agree(raw)
    assert sum(map(assert_others_agree, mutations(raw))) > 100


fragments = st.sampled_from(
    [
        b"0",
        b"5",
        b"a",
        b"\r\n",
        b"\n",
        b"\r",
        b"hello",
        b";",
        b"a=b",
        b'"',
        b"\\",
        b" ",
        b"X: y",
        b":",
        b"5\r\nhello\r\n",
        LAST_CHUNK,
    ]
)


@given(st.lists(fragments, max_size=12).map(b"".join))
def test_any_mixture_is_read_as_others_read_it(raw: bytes) -> None:
    assert_others_agree(raw)


def test_bodies_go_on_as_their_framing_says() -> None:
    length, chunked = (
        RequestFraming(kind, 5, True, False, False, None, b"", b"", b"", sort_request_fields([]))  # noqa: FBT003
        for kind in (BodyKind.LENGTH, BodyKind.CHUNKED)
    )
    assert framed(length, b"hello", is_complete=True) == b"hello"
    assert framed(chunked, b"hello", is_complete=False) == b"5\r\nhello\r\n"
    assert framed(chunked, b"hello", is_complete=True) == b"5\r\nhello\r\n0\r\n\r\n"
    assert framed(chunked, b"", is_complete=True) == b"0\r\n\r\n"
    assert framed(chunked, b"", is_complete=False) == b""
