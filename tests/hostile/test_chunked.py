"""The chunked transfer coding of requests: every line of it means one thing or is refused (RFC 9112 section 7.1)."""

from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request

END = b"0\r\n\r\n"


def chunked(body: bytes, *lines: str) -> bytes:
    """A request with this body, chunks and all."""
    return request("POST", "/outer", "Transfer-Encoding: chunked", *lines, body=body)


SIZES = {
    "hexadecimal_prefix": b"0x5\r\nhello\r\n",
    "capital_prefix": b"0X5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "minus": b"-5\r\nhello\r\n",
    "minus_zero": b"-0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n",
    "underscore_between": b"1_0\r\n0123456789abcdef\r\n",
    "space_before": b" 5\r\nhello\r\n",
    "tab_before": b"\t5\r\nhello\r\n",
    "space_behind": b"5 \r\nhello\r\n",
    "tab_behind": b"5\t\r\nhello\r\n",
    "space_before_extension": b"5 ;a\r\nhello\r\n",
    "vertical_tab": b"\x0b5\r\nhello\r\n",
    "form_feed_behind": b"5\x0c\r\nhello\r\n",
    "no_break_space": b"5\xa0\r\nhello\r\n",
    "nul": b"5\x00\r\nhello\r\n",
    "nul_before": b"\x005\r\nhello\r\n",
    "fullwidth": "\uff15\r\nhello\r\n".encode(),
    "arabic": "\u0665\r\nhello\r\n".encode(),
    "superscript": b"\xb2\r\nhe\r\n",
    "letter_g": b"g\r\n0123456789abcdef\r\n",
    "hexadecimal_suffix": b"5h\r\nhello\r\n",
    "fraction": b"5.0\r\nhello\r\n",
    "comma": b"5,\r\nhello\r\n",
    "quoted": b'"5"\r\nhello\r\n',
    "empty": b"\r\nhello\r\n",
    "only_extension": b";a=b\r\nhello\r\n",
    "two_to_the_64": b"10000000000000000\r\nhello\r\n",
    "two_to_the_64_and_5": b"10000000000000005\r\nhello\r\n",
    "two_to_the_64_less_1": b"ffffffffffffffff\r\nhello\r\n",
    "two_to_the_63": b"8000000000000000\r\nhello\r\n",
    "seventeen_zeros": b"00000000000000005\r\nhello\r\n",
    "zeros_4000": b"0" * 4_000 + b"5\r\nhello\r\n",
    "fs_5000": b"f" * 5_000 + b"\r\nhello\r\n",
}

LINE_ENDS = {
    "newline": b"5\nhello\r\n",
    "return": b"5\rhello\r\n",
    "return_return_newline": b"5\r\r\nhello\r\n",
    "newline_return": b"5\n\rhello\r\n",
    "newline_behind_extension": b"5;a\nhello\r\n",
    "newline_behind_semicolon": b"5;\nhello\r\n",
    "return_in_extension": b"5;a=\rb\r\nhello\r\n",
    "newline_in_extension": b"5;a=b\nc\r\nhello\r\n",
    "nul_in_extension": b"5;a=\x00b\r\nhello\r\n",
    "newline_in_quotes": b'5;a="\n"\r\nhello\r\n',
    "line_end_in_quotes": b'5;a="\r\n"\r\nhello\r\n',
    "escaped_line_end_in_quotes": b'5;a="\\\r\n"\r\nhello\r\n',
    "return_in_quotes": b'5;a="\r"\r\nhello\r\n',
    "line_separator": "5\u2028hello\r\n".encode(),
    "two_bytes_for_the_end": b"5;xxhello\r\n",
    "data_ends_by_newline": b"5\r\nhello\n",
    "data_ends_by_return": b"5\r\nhello\r" + b"x",
    "data_ends_by_newline_return": b"5\r\nhello\n\r",
    "data_ends_by_anything": b"5\r\nhelloXX",
    "data_ends_by_zero_chunk": b"5\r\nhello0\r\n",
    "data_too_long": b"5\r\nhello!\r\n",
    "data_too_short": b"5\r\nhell\r\n",
    "data_too_short_by_two": b"7\r\nhello\r\n",
    "data_with_two_ends": b"5\r\nhello\r\n\r\n",
    "size_line_without_digits": b"5\r\nhello\r\n\r\n",
}

EXTENSIONS = {
    "space": b"5; a\r\nhello\r\n",
    "space_before_equals": b"5;a =b\r\nhello\r\n",
    "space_behind_equals": b"5;a= b\r\nhello\r\n",
    "space_behind": b"5;a=b \r\nhello\r\n",
    "nothing_behind_semicolon": b"5;\r\nhello\r\n",
    "two_semicolons": b"5;;a\r\nhello\r\n",
    "nothing_behind_equals": b"5;a=\r\nhello\r\n",
    "no_name": b"5;=b\r\nhello\r\n",
    "two_equals": b"5;a==b\r\nhello\r\n",
    "quotes_open": b'5;a="b\r\nhello\r\n',
    "quotes_escaped": b'5;a="b\\"\r\nhello\r\n',
    "quotes_then_more": b'5;a="b"c\r\nhello\r\n',
    "no_token": b"5;a@b\r\nhello\r\n",
    "comma": b"5;a,b\r\nhello\r\n",
    "no_semicolon": b"5 a=b\r\nhello\r\n",
    "high_bit": b"5;\xe9\r\nhello\r\n",
    "longer_than_a_line": b"5;" + b"a" * 300 + b"\r\nhello\r\n",
    "of_70_kilobytes": b"5;" + b"a" * 70_000 + b"\r\nhello\r\n",
}

ENDS = {
    "newline": b"0\n\r\n",
    "newlines": b"0\n\n",
    "newline_then_end": b"0\r\n\n",
    "return": b"0\r\r\n\r\n",
    "return_for_the_last": b"0\r\n\rG",
    "garbage": b"0\r\nG",
    "space": b"0 \r\n\r\n",
    "zero_x": b"0x0\r\n\r\n",
    "minus": b"-0\r\n\r\n",
    "semicolon_newline": b"0;\n\r\n",
    "zeros_20": b"0" * 20 + b"\r\n\r\n",
}


@CUTS
@cases({**SIZES, **LINE_ENDS, **EXTENSIONS})
def test_a_chunk_that_can_be_read_in_two_ways_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    if len(case) > 10_000 and cut is Cut.BYTES:
        cut = Cut.RECORDS
    scene.refused_body(chunked(case + END + SMUGGLED), 400, cut=cut)


@CUTS
@cases(SIZES)
def test_so_is_one_behind_a_good_one(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused_body(chunked(b"3\r\nabc\r\n" + case + END + SMUGGLED), 400, cut=cut)


@CUTS
@cases(ENDS)
def test_a_last_chunk_that_can_be_read_in_two_ways_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused_body(chunked(b"5\r\nhello\r\n" + case + SMUGGLED), 400, cut=cut)


@ALL_CUTS
@cases({"terminator": LINE_ENDS["data_ends_by_anything"], "extension": LINE_ENDS["newline_behind_semicolon"]})
def test_the_textbook_attacks_are_refused_however_they_are_cut(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused_body(chunked(case + END + SMUGGLED), 400, cut=cut)


GOOD = {
    "plain": b"5\r\nhello\r\n0\r\n\r\n",
    "capital_digits": b"A\r\nhelloworld\r\n0\r\n\r\n",
    "small_digits": b"a\r\nhelloworld\r\n0\r\n\r\n",
    "leading_zeros": b"0005\r\nhello\r\n000\r\n\r\n",
    "many": b"1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n",
    "extension": b"5;a\r\nhello\r\n0\r\n\r\n",
    "extension_with_value": b"5;a=b;c=d\r\nhello\r\n0\r\n\r\n",
    "extension_quoted": b'5;a="b;\\"c\xe9 \t"\r\nhello\r\n0\r\n\r\n',
    "extension_of_last": b"5\r\nhello\r\n0;a=b\r\n\r\n",
    "line_ends_as_data": b"9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
    "request_as_data": b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
    "empty": b"0\r\n\r\n",
}


@ALL_CUTS
@cases(GOOD)
def test_a_good_body_arrives_in_chunks_of_our_own(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.served(chunked(case) + request("GET", "/next"), 200, 200, cut=cut)
    assert scene.targets == ["/outer", "/next"]
    body = scene.recorder.complete[0].message.body  # the recorder takes neither extensions nor leading zeros
    assert body in (b"hello", b"helloworld", b"\r\n0\r\n\r\n\r\n", SMUGGLED, b"")
    assert bool(body) == (case != GOOD["empty"])


# -- what is not body has a budget: 64 KiB, and then a byte for each byte of body

OVERHEAD = {
    "extensions": (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 2_000,
    "long_bodies_with_extensions": (b"400;" + b"a" * 200 + b"\r\n" + b"x" * 1_024 + b"\r\n") * 400,
    "chunks_of_one_byte": b"1\r\nx\r\n" * 20_000,
    "chunks_of_one_byte_behind_a_large_one": b"ffff\r\n" + b"x" * 65_535 + b"\r\n" + b"1\r\nx\r\n" * 20_000,
    "leading_zeros": b"0000000000000001\r\nx\r\n" * 5_000,
    "quoted_extensions": (b'1;a="' + b"\\a" * 100 + b'"\r\nx\r\n') * 400,
}


def test_thousands_of_tiny_chunks_with_extensions_are_taken(scene: Scene) -> None:
    """45 KB beside 3 KB of body: some upload clients sign each chunk."""
    body = b"1;sig=0a1b\r\nx\r\n" * 3_000 + b"0\r\n\r\n"
    scene.served(request("POST", "/", "Transfer-Encoding: chunked") + body, 200)
    assert scene.only_request().body == b"x" * 3_000


@cases(OVERHEAD)
def test_a_body_of_mostly_overhead_is_refused(scene: Scene, case: bytes) -> None:
    with scene.connect() as client:
        client.send(chunked(case + END + SMUGGLED))
        assert client.read_response().status == 400
        client.read_to_end()
    scene.settle()
    assert scene.targets == []


def test_some_thousand_small_chunks_are_served(scene: Scene) -> None:
    scene.served(chunked(b"1\r\nx\r\n" * 2_500 + END), 200)
    assert scene.only_request().body == b"x" * 2_500


TOO_LONG = {
    "one_chunk": b"401\r\n" + b"x" * 1_025 + b"\r\n",
    "many_chunks": (b"100\r\n" + b"x" * 256 + b"\r\n") * 5,
    "huge_chunk": b"fffffffffffff\r\n" + b"x" * 1_025,
}


@CUTS
@cases(TOO_LONG)
def test_a_body_beyond_the_limit_of_its_route_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    raw = chunked(case + END).replace(b"/outer", b"/small/x")
    with scene.connect() as client:
        client.send(raw, cut)
        assert client.read_response().status == 413
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.targets == []
    assert len(scene.begun) <= (1 if cut is Cut.BYTES else 0)
