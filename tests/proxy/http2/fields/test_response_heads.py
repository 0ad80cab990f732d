"""Response heads of HTTP/2 are judged by their own rules, and by those of HTTP/1.1."""

import pytest

from proxy.http.delivery import delivery_frame
from proxy.http.framing import BodyKind
from proxy.http.head import Header, HeadLimits, MalformedMessage
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value
from proxy.http2.fields.response_heads import StreamResponses, opens_tunnel, response_trailers
from proxy.http2.hpack.decoder import DecodedFields

LIMITS = HeadLimits(1_000, 20, 1_000)
OK: Header = (b":status", b"200")


def read(*fields: Header, method: bytes = b"GET", is_ended: bool = False) -> Response:
    """One head, by a reader of its own."""
    reader = StreamResponses(ResponseReader(2), LIMITS)
    return reader.read(DecodedFields(list(fields), False), method, is_ended=is_ended)  # noqa: FBT003


@pytest.mark.parametrize(
    ("status", "method", "length", "is_ended", "expected"),
    [
        (b"200", b"GET", None, False, (BodyKind.CHUNKED, None)),
        (b"200", b"GET", b"5", False, (BodyKind.LENGTH, 5)),
        (b"200", b"GET", None, True, (BodyKind.LENGTH, 0)),
        (b"200", b"GET", b"0", True, (BodyKind.LENGTH, 0)),
        (b"200", b"HEAD", b"5", True, (BodyKind.NONE, 5)),
        (b"200", b"HEAD", None, False, (BodyKind.NONE, None)),
        (b"204", b"GET", None, False, (BodyKind.NONE, None)),
        (b"205", b"GET", None, False, (BodyKind.NONE, 0)),
        (b"304", b"GET", b"5", True, (BodyKind.NONE, 5)),
        (b"103", b"GET", None, False, (BodyKind.NONE, None)),
    ],
)
def test_the_body_is_framed_as_one_of_http1(
    status: bytes, method: bytes, length: bytes | None, expected: tuple[BodyKind, int | None], *, is_ended: bool
) -> None:
    fields = [(b":status", status), *([] if length is None else [(b"content-length", length)])]
    framing = read(*fields, method=method, is_ended=is_ended).framing
    assert (framing.body, framing.length) == expected


def test_fields_go_on_and_via_names_the_version() -> None:
    response = read(OK, (b"content-type", b"application/grpc"), (b"date", b"today"), (b"x-empty", b""))
    assert response.fields == [(b"content-type", b"application/grpc"), (b"date", b"today"), (b"x-empty", b"")]
    frame = delivery_frame(response.framing, 1, accepts_trailers=True, keep_alive=True)
    assert b"Via: 2.0 plexigate\r\n" in frame.via


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "response without :status"),
        ([(b"x", b"1")], "response without :status"),
        ([OK, OK], "pseudo-field that stands twice"),
        ([OK, (b":path", b"/")], "unknown pseudo-field"),
        ([OK, (b"x", b"1"), (b":status", b"200")], "pseudo-field out of its place"),
        ([(b":status", b"20")], "response without a valid status code"),
        ([(b":status", b"999")], "response without a valid status code"),
        ([(b":status", b"101")], "101 to a request without Upgrade"),
        ([OK, (b"X", b"1")], "invalid field name"),
        ([OK, (b"", b"1")], "empty field name"),
        ([OK, (b"x", b" 1")], "white space around a field value"),
        ([OK, (b"x", b"1\r\ny: 2")], "control character in a field value"),
        ([OK, (b"x", b"\x00")], "control character in a field value"),
        ([OK, (b"connection", b"close")], "field about the connection"),
        ([OK, (b"transfer-encoding", b"chunked")], "field about the connection"),
        ([OK, (b"content-length", b"1"), (b"content-length", b"1")], "malformed head"),
        ([OK, (b"content-length", b"+1")], "malformed head"),
        ([(b":status", b"204"), (b"content-length", b"1")], "response with a body that its status rules out"),
        ([OK, *[(b"x", b"1")] * 20], "too many header fields in the response"),
    ],
)
def test_what_is_refused(fields: list[Header], reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        read(*fields)
    assert (caught.value.status, caught.value.reason) == (502, reason)


def test_a_list_that_was_too_large_is_refused() -> None:
    decoded = DecodedFields([], True)  # noqa: FBT003
    for refuse in (
        lambda: StreamResponses(ResponseReader(2), LIMITS).read(decoded, b"GET", is_ended=False),
        lambda: response_trailers(decoded),
    ):
        with pytest.raises(MalformedMessage, match="too long"):
            refuse()


def test_the_same_list_is_judged_once() -> None:
    reader = StreamResponses(ResponseReader(2), LIMITS)
    decoded = DecodedFields([OK], False)  # noqa: FBT003
    first = reader.read(decoded, b"GET", is_ended=False)
    assert reader.read(decoded, b"GET", is_ended=False) is first
    assert reader.read(decoded, b"HEAD", is_ended=False).framing.body is BodyKind.NONE
    assert reader.read(decoded, b"GET", is_ended=True).framing.length == 0
    assert reader.read(DecodedFields([OK], False), b"GET", is_ended=False).framing.body is BodyKind.CHUNKED  # noqa: FBT003


def test_trailers_have_the_rules_of_fields() -> None:
    assert response_trailers(DecodedFields([(b"grpc-status", b"0")], False)) == [(b"grpc-status", b"0")]  # noqa: FBT003
    with pytest.raises(MalformedMessage, match="pseudo-field out of its place"):
        response_trailers(DecodedFields([OK], False))  # noqa: FBT003


OFFER = WebSocketOffer(b"dGhlIHNhbXBsZSBub25jZQ==", (b"chat",), b"")


def opened(*fields: Header, is_ended: bool = False, is_too_large: bool = False) -> Response:
    """An answer that opens a WebSocket."""
    decoded = DecodedFields(list(fields), is_too_large)
    return StreamResponses(ResponseReader(2), LIMITS).opened(decoded, OFFER, is_ended=is_ended)


class TestWebSockets:
    """RFC 8441 section 5."""

    def test_the_answer_becomes_the_101_that_the_client_waits_for(self) -> None:
        chat = (b"sec-websocket-protocol", b"chat")
        response = opened(
            OK, chat, (b"x", b"1"), (b"content-length", b"5"), (b"sec-websocket-accept", b"ours is another")
        )
        assert (response.framing.head.status, response.fields) == (101, [(b"x", b"1")])
        assert response.framing.special[b"sec-websocket-protocol"] == [b"chat"]
        assert response.framing.special[b"sec-websocket-accept"] == [accept_value(OFFER.key)]

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ([OK, (b"sec-websocket-protocol", b"other")], "101 with a subprotocol that was not offered"),
            ([OK, (b"sec-websocket-extensions", b"x")], "101 with an extension that was not offered"),
            ([OK, (b"upgrade", b"websocket")], "field about the connection"),
            ([OK, (b"X", b"1")], "invalid field name"),
            ([(b"x", b"1")], "response without :status"),
        ],
    )
    def test_the_rules_of_both_versions_hold(self, fields: list[Header], reason: str) -> None:
        with pytest.raises(MalformedMessage, match=reason):
            opened(*fields)

    def test_a_head_that_ends_or_is_too_large_opens_nothing(self) -> None:
        with pytest.raises(MalformedMessage, match="ends with its head"):
            opened(OK, is_ended=True)
        with pytest.raises(MalformedMessage, match="too long"):
            opened(is_too_large=True)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ([OK], True),
            ([(b":status", b"299")], True),
            ([(b":status", b"101")], False),
            ([(b":status", b"403")], False),
            ([(b":status", b"20")], False),
            ([(b"x", b"200")], False),
            ([], False),
        ],
    )
    def test_any_2xx_opens_a_tunnel(self, fields: list[Header], *, expected: bool) -> None:
        assert opens_tunnel(DecodedFields(fields, is_too_large=False)) is expected
