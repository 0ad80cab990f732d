"""An answer as one token or as a stream, and answers without content."""

import pytest

from proxy.http.framing import BodyKind
from proxy.http.head import HeadLimits
from proxy.http.responses import Response, ResponseReader
from proxy.payload.answer import AnswerKey, SealedAnswer
from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher
from proxy.payload.messages.codec import LARGEST_PLAIN
from proxy.payload.messages.stream import StreamOpener, Vow
from tests.payloads import MESSAGE_ID, NOW, PLACE, WINDOW, channel, ring

DIGEST = PLACE.digest(Direction.RESPONSE)
LIMITS = HeadLimits(8_192, 100, 16_384)


def response(*lines: str, status: str = "200 OK", method: bytes = b"GET") -> Response:
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""])
    return ResponseReader().read(head.encode(), LIMITS, method)


def answer(of: MessageCipher | None = None, version: int | None = None, *, takes_stream: bool = True) -> SealedAnswer:
    return SealedAnswer(AnswerKey(of or channel(ring(1)), Vow(MESSAGE_ID, DIGEST), version, takes_stream))


def fields(head: Response | None) -> dict[str, str]:
    assert head is not None
    return dict(line.decode().strip().split(": ", 1) for line in head.forwarded)


@pytest.mark.parametrize(("version", "named"), [(None, "chat:2"), (1, "chat:1")])
def test_short_answer_is_one_token_under_the_key_that_the_client_has(version: int | None, named: str) -> None:
    one = answer(version=version)
    assert one.begin(response("Content-Length: 5", "Trailer: X-Sum"), b"GET") is None
    assert one.data_to_send(NOW) == b""
    one.receive_data(b"hel")
    one.receive_data(b"lo")
    head, token = one.finish(NOW)
    assert (fields(head)["Content-Encoding"], fields(head)["Payload-Key"]) == ("fernet", named)
    assert head is not None
    assert (head.framing.body, head.framing.length) == (BodyKind.LENGTH, len(token))
    assert b"trailer" not in head.framing.special
    assert channel(ring(1)).open(Direction.RESPONSE, token, DIGEST, NOW, version).plain == b"hello"


@pytest.mark.parametrize("length", ["Content-Length: 70000", "Transfer-Encoding: chunked"])
def test_long_or_endless_answer_is_a_stream(length: str) -> None:
    one = answer()
    head = one.begin(response(length), b"GET")
    assert head is not None
    assert (fields(head)["Content-Encoding"], head.framing.body) == ("fernet-stream", BodyKind.CHUNKED)
    opener = StreamOpener(channel(ring(1)).responses, DIGEST, WINDOW)
    one.receive_data(b"first")
    assert opener.receive_data(one.data_to_send(NOW), NOW) == [b"first"]
    one.receive_data(b"last")
    assert opener.receive_data(one.finish(NOW)[1], NOW) == [b"last"]
    opener.finish()


def test_client_that_takes_no_stream_is_bounded() -> None:
    one = answer(takes_stream=False)
    assert one.begin(response("Transfer-Encoding: chunked"), b"GET") is None
    one.receive_data(bytes(LARGEST_PLAIN))
    with pytest.raises(PayloadFault) as caught:
        one.receive_data(b"x")
    assert caught.value.cause is Cause.ANSWER_TOO_LARGE


@pytest.mark.parametrize(
    ("status", "method", "lines", "coding", "length"),
    [
        ("200 OK", b"HEAD", ["Content-Length: 5"], "fernet", None),
        ("200 OK", b"HEAD", ["Content-Length: 70000"], "fernet-stream", None),
        ("200 OK", b"HEAD", [], "fernet-stream", None),
        ("204 No Content", b"GET", [], None, None),
        ("304 Not Modified", b"GET", ["Content-Length: 5"], None, None),
        ("205 Reset Content", b"GET", ["Content-Length: 0"], None, 0),
    ],
)
def test_answer_without_content_has_no_token(
    status: str, method: bytes, lines: list[str], coding: str | None, length: int | None
) -> None:
    one = answer()
    head = one.begin(response(*lines, status=status, method=method), method)
    assert head is not None
    assert (head.framing.body, head.framing.length) == (BodyKind.NONE, length)
    assert fields(head).get("Content-Encoding") == coding
    assert one.finish(NOW) == (None, b"")


def test_session_is_not_named_again() -> None:
    of = channel()
    session = MessageCipher(b"ticket", of.requests, of.responses, True, of.envelope, WINDOW, is_session=True)  # noqa: FBT003 - by place
    assert "Payload-Key" not in fields(answer(session).begin(response("Content-Length: 70000"), b"GET"))
