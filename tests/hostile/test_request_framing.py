"""Where a request ends: two readers that disagree about it are request smuggling (RFC 9112 section 6)."""

from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request

HIDDEN = b"0\r\n\r\n" + SMUGGLED
"""For a reader of chunks: an empty body, then another request. For a reader of lengths: a body."""


def post(*lines: str, body: bytes = HIDDEN) -> bytes:
    """A request whose framing is in question."""
    return request("POST", "/outer", *lines, body=body)


BOTH = {
    "length_first": ("Content-Length: 6", "Transfer-Encoding: chunked"),
    "coding_first": ("Transfer-Encoding: chunked", "Content-Length: 6"),
    "length_that_fits": (f"Content-Length: {len(HIDDEN)}", "Transfer-Encoding: chunked"),
    "length_of_the_chunks": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "length_zero": ("Content-Length: 0", "Transfer-Encoding: chunked"),
    "length_invalid": ("Content-Length: x", "Transfer-Encoding: chunked"),
    "length_empty": ("Content-Length:", "Transfer-Encoding: chunked"),
    "capitals": ("CONTENT-LENGTH: 6", "TRANSFER-ENCODING: CHUNKED"),
    "small_letters": ("content-length: 6", "transfer-encoding: chunked"),
    "coding_unknown": ("Content-Length: 6", "Transfer-Encoding: gzip"),
    "coding_empty": ("Content-Length: 6", "Transfer-Encoding:"),
    "coding_named_by_connection": ("Content-Length: 6", "Transfer-Encoding: chunked", "Connection: transfer-encoding"),
    "length_named_by_connection": ("Content-Length: 6", "Transfer-Encoding: chunked", "Connection: content-length"),
    "apart": ("Content-Length: 6", *(f"X-{i}: y" for i in range(40)), "Transfer-Encoding: chunked"),
}


@CUTS
@cases(BOTH)
def test_length_and_coding_together_are_refused(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    scene.refused(post(*case), 400, cut=cut)


@ALL_CUTS
def test_the_textbook_attack_is_refused_however_it_is_cut(scene: Scene, cut: Cut) -> None:
    scene.refused(post("Content-Length: 6", "Transfer-Encoding: chunked", body=b"0\r\n\r\nG"), 400, cut=cut)


CODINGS = {
    "leading_comma": ",chunked",
    "trailing_comma": "chunked,",
    "commas_and_space": " , chunked",
    "chunked_twice": "chunked, chunked",
    "chunked_then_identity": "chunked, identity",
    "chunked_then_gzip": "chunked, gzip",
    "gzip_then_chunked": "gzip, chunked",
    "identity": "identity",
    "identity_then_chunked": "identity, chunked",
    "gzip": "gzip",
    "unknown": "cow",
    "prefix": "xchunked",
    "suffix": "chunkedx",
    "half": "chunke",
    "empty": "",
    "quoted": '"chunked"',
    "apostrophes": "'chunked'",
    "parameter": "chunked;q=1",
    "semicolon": "chunked;",
    "colon": ": chunked",
    "equals": "chunked=1",
    "space_within": "chun ked",
    "tab_within": "chunked\tx",
    "vertical_tab": "\x0bchunked",
    "vertical_tab_behind": "chunked\x0b",
    "form_feed": "\x0cchunked",
    "no_break_space": "\xa0chunked",
    "no_break_space_behind": "chunked\xa0",
    "next_line": "\x85chunked",
    "nul": "chunked\x00",
    "nul_before": "\x00chunked",
    "delete": "chunked\x7f",
    "carriage_return": "chunked\r",
    "carriage_return_before": "\rchunked",
    "kelvin_sign": "chun\u212aed".encode().decode("latin-1"),
    "kelvin_sign_twice": "\u212ahunked".encode().decode("latin-1"),
    "fullwidth": "\uff43hunked".encode().decode("latin-1"),
    "dotless_i": "\u0131dentity, chunked".encode().decode("latin-1"),
    "utf_8_bom": "\ufeffchunked".encode().decode("latin-1"),
    "high_bit": "".join(chr(ord(letter) | 0x80) for letter in "chunked"),
    "backslash": "\\chunked",
    "newline": "\nchunked",
    "newline_within": "chunked\nX: y",
}


@CUTS
@cases(CODINGS)
def test_a_coding_that_is_not_plainly_chunked_is_refused(scene: Scene, case: str, cut: Cut) -> None:
    scene.refused(post(f"Transfer-Encoding: {case}"), 400, 501, cut=cut)


@cases(CODINGS)
def test_such_a_coding_is_refused_beside_a_length_too(scene: Scene, case: str) -> None:
    scene.refused(post(f"Transfer-Encoding: {case}", f"Content-Length: {len(HIDDEN)}"), 400, 501)


NAMES = {
    "space_before_colon": "Transfer-Encoding : chunked",
    "tab_before_colon": "Transfer-Encoding\t: chunked",
    "nul_before_colon": "Transfer-Encoding\x00: chunked",
    "vertical_tab_before_colon": "Transfer-Encoding\x0b: chunked",
    "no_break_space_before_colon": "Transfer-Encoding\xa0: chunked",
    "carriage_return_before_colon": "Transfer-Encoding\r: chunked",
    "leading_space": " Transfer-Encoding: chunked",
    "leading_tab": "\tTransfer-Encoding: chunked",
    "leading_vertical_tab": "\x0bTransfer-Encoding: chunked",
    "leading_nul": "\x00Transfer-Encoding: chunked",
    "space_within": "Transfer Encoding: chunked",
    "colon_missing": "Transfer-Encoding chunked",
    "folded": "Transfer-Encoding:\r\n chunked",
    "folded_by_tab": "Transfer-Encoding:\r\n\tchunked",
    "folded_name": "Transfer-\r\n Encoding: chunked",
    "behind_bare_return": "X: y\rTransfer-Encoding: chunked",
    "behind_bare_newline": "X: y\nTransfer-Encoding: chunked",
    "behind_nul": "X: y\x00Transfer-Encoding: chunked",
    "behind_return_return_newline": "X: y\r\r\nTransfer-Encoding: chunked",
    "behind_newline_return": "X: y\n\rTransfer-Encoding: chunked",
    "quoted_name": '"Transfer-Encoding": chunked',
    "high_bit": "Transfer\xadEncoding: chunked",
}


@CUTS
@cases(NAMES)
def test_a_field_name_that_only_some_understand_is_refused(scene: Scene, case: str, cut: Cut) -> None:
    scene.refused(post(case, "Content-Length: 5"), 400, cut=cut)


@cases(
    {name: case.replace("Transfer-Encoding", "Content-Length").replace("chunked", "5") for name, case in NAMES.items()}
)
def test_the_same_holds_for_the_length(scene: Scene, case: str) -> None:
    if case.startswith(("Transfer", '"Transfer')):
        case = case.replace("Transfer", "Content").replace("Encoding", "Length")
    scene.refused(post(case), 400)


@cases(
    {
        "same": ("chunked", "chunked"),
        "with_unknown": ("chunked", "x"),
        "with_empty": ("", "chunked"),
        "apart": ("x", "chunked"),
    }
)
def test_several_codings_in_several_fields_are_refused(scene: Scene, case: tuple[str, str]) -> None:
    scene.refused(post(f"Transfer-Encoding: {case[0]}", "X: y", f"transfer-encoding: {case[1]}"), 400, 501)


@CUTS
@cases({"alone": (), "with_length": ("Content-Length: 5",), "kept_alive": ("Connection: keep-alive",)})
def test_http_1_0_has_no_transfer_coding(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    raw = post("Transfer-Encoding: chunked", *case).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    scene.refused(raw, 400, cut=cut)


LENGTHS = {
    "plus": "+5",
    "minus": "-5",
    "minus_zero": "-0",
    "underscore": "0_5",
    "underscore_between": "1_0",
    "hexadecimal": "0x5",
    "octal": "0o5",
    "fraction": "5.0",
    "exponent": "5e0",
    "list_of_equals": "5, 5",
    "list_without_space": "5,5",
    "list_of_others": "5, 6",
    "list_with_empty": "5,",
    "list_beginning_empty": ",5",
    "space_within": "5 5",
    "tab_within": "5\t5",
    "word": "five",
    "letter_behind": "5a",
    "parameter": "5;x",
    "quoted": '"5"',
    "brackets": "(5)",
    "empty": "",
    "spaces_only": "   ",
    "arabic_digit": "\u0665".encode().decode("latin-1"),
    "fullwidth_digit": "\uff15".encode().decode("latin-1"),
    "superscript_two": "\xb2",
    "superscript_two_in_utf_8": "\xb2".encode().decode("latin-1"),
    "superscript_behind": "5\xb2",
    "no_break_space": "\xa05",
    "vertical_tab": "\x0b5",
    "form_feed_behind": "5\x0c",
    "unit_separator": "\x1f5",
    "next_line": "5\x85",
    "nul": "5\x00",
    "carriage_return": "5\r",
    "carriage_return_before": "\r5",
    "two_to_the_64": str(2**64),
    "two_to_the_64_and_5": str(2**64 + 5),
    "two_to_the_63": str(2**63),
    "nineteen_nines": "9" * 19,
    "digits_4300": "1" * 4_300,
    "digits_5000": "5" * 5_000,
    "zeros_4000": "0" * 4_000 + "5",
    "infinity": "inf",
    "not_a_number": "nan",
    "true": "True",
}


@CUTS
@cases(LENGTHS)
def test_a_length_that_is_not_plain_digits_is_refused(scene: Scene, case: str, cut: Cut) -> None:
    scene.refused(post(f"Content-Length: {case}"), 400, cut=cut)


TWICE = {
    "same": ("5", "5"),
    "other": ("5", "6"),
    "empty_first": ("", "5"),
    "empty_last": ("5", ""),
    "zero_first": ("0", "5"),
    "invalid_last": ("5", "x"),
    "leading_zero": ("5", "05"),
}


@CUTS
@cases(TWICE)
def test_two_lengths_are_refused(scene: Scene, case: tuple[str, str], cut: Cut) -> None:
    scene.refused(post(f"Content-Length: {case[0]}", "X: y", f"content-length: {case[1]}"), 400, cut=cut)


ORDINARY = {
    "underscore_for_length": "Content_Length: 31",
    "underscore_for_coding": "Transfer_Encoding: chunked",
    "dot_for_coding": "Transfer.Encoding: chunked",
    "longer_name": "Transfer-Encoding-X: chunked",
    "longer_name_of_length": "Content-Lengthy: 31",
    "name_of_255": "Content-Length0" + "a" * 240 + ": 31",
    "name_of_300": "Transfer-Encoding" + "a" * 283 + ": chunked",
    "prefixed": "X-Transfer-Encoding: chunked",
}


@CUTS
@cases(ORDINARY)
def test_a_name_that_only_looks_like_framing_frames_nothing(scene: Scene, case: str, cut: Cut) -> None:
    scene.served(post(case, "Content-Length: 5", body=b"01234") + SMUGGLED, 200, 200, cut=cut)
    assert scene.targets == ["/outer", "/smuggled"]  # two requests, for everybody
    assert scene.recorder.complete[0].message.body == b"01234"


WHITE_SPACE = {"spaces": "  5  ", "tabs": "\t5\t", "none": "5", "leading_zeros": "0005"}


@CUTS
@cases(WHITE_SPACE)
def test_a_clear_length_is_written_anew(scene: Scene, case: str, cut: Cut) -> None:
    raw = post(f"Content-Length: {case}", body=b"01234").replace(b"Content-Length: ", b"Content-Length:", 1)
    scene.served(raw, 200, cut=cut)
    assert scene.only_request().values("Content-Length") == ["5"]


@CUTS
def test_a_clear_coding_is_written_anew(scene: Scene, cut: Cut) -> None:
    scene.served(post("tRANSFER-eNCODING:\t cHUNKED ", body=b"5\r\n01234\r\n0\r\n\r\n"), 200, cut=cut)
    assert scene.only_request().values("Transfer-Encoding") == ["chunked"]
    assert scene.only_request().body == b"01234"


@CUTS
@cases({"get": "GET", "head": "HEAD", "delete": "DELETE", "options": "OPTIONS"})
def test_a_body_belongs_to_its_request_whatever_the_method(scene: Scene, case: str, cut: Cut) -> None:
    raw = request(case, "/outer", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED)
    with scene.connect() as client:
        client.send(raw, cut)
        assert client.read_response(case).status == 200
    scene.settle()
    assert scene.targets == ["/outer"]
    assert scene.recorder.complete[0].message.body == SMUGGLED


@CUTS
def test_a_request_without_framing_has_no_body(scene: Scene, cut: Cut) -> None:
    scene.served(request("POST", "/outer") + SMUGGLED, 200, 200, cut=cut)
    assert scene.targets == ["/outer", "/smuggled"]


# A request that is refused for what its head says, while its body is still to be read.
UNDRAINED = {
    "no_route": (request("POST", "/outer", host="empty.test", body=b""), 404),
    "misdirected": (request("POST", "/outer", host="other.test"), 421),
    "body_too_long": (request("POST", "/small/outer"), 413),
    "ambiguous_path": (request("POST", "/vault%2fouter"), 400),
    "expectation": (request("POST", "/outer", "Expect: something"), 417),
    "http_uri": (request("POST", "http://chat.test/outer"), 421),
}


@CUTS
@cases(UNDRAINED)
def test_the_body_of_a_refused_request_is_no_request(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    head, status = case
    body = SMUGGLED * 30
    raw = head.replace(b"\r\n\r\n", f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()) + body
    scene.refused(raw, status, cut=cut)


@cases(UNDRAINED)
def test_the_chunks_of_a_refused_request_are_no_request(scene: Scene, case: tuple[bytes, int]) -> None:
    head, status = case
    body = SMUGGLED * 30
    raw = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"%x\r\n%b\r\n" % (len(body), body)
    if b"/small" in head:
        scene.refused(raw, status)
    else:
        scene.refused(raw + HIDDEN, status)


@CUTS
@cases(
    {
        "length": ("Content-Length: 10", b"01234"),
        "chunk": ("Transfer-Encoding: chunked", b"a\r\n01234"),
        "chunks": ("Transfer-Encoding: chunked", b"5\r\n01234\r\n"),
    }
)
def test_a_request_that_its_client_cuts_reaches_no_server(scene: Scene, case: tuple[str, bytes], cut: Cut) -> None:
    line, body = case
    with scene.connect() as client:
        client.send(post(line, body=body), cut)
        client.shut_down()
        assert client.read_to_end() == b""
        assert client.end is End.CUT
    scene.settle()
    assert (scene.begun, scene.targets, len(scene.recorder.cut)) == ([], [], 0)


# More than is gathered before a server is asked.
LONG = b"a" * 70_000


@cases(
    {
        "length": ("Content-Length: 200000", LONG),
        "chunk": ("Transfer-Encoding: chunked", b"30d40\r\n" + LONG),
        "chunks": ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(LONG), LONG)),
    }
)
def test_a_long_request_that_its_client_cuts_is_never_completed(scene: Scene, case: tuple[str, bytes]) -> None:
    line, body = case
    with scene.connect() as client:
        client.send(post(line, body=body))
        scene.recorder.wait_for(lambda recorder: recorder.begun != [])
        client.shut_down()
        assert client.read_to_end() == b""
        assert client.end is End.CUT
    scene.settle()
    assert (scene.begun, scene.targets, len(scene.recorder.cut)) == (["/outer"], [], 1)
