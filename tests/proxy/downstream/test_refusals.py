"""The bytes of our own answers: complete responses that say what the connection does next."""

import json

import pytest

from proxy.downstream.refusals import (
    Answer,
    RequestRefusal,
    all_down,
    body_too_long,
    refusal_response,
    too_many_requests,
)
from proxy.http.head import RequestHead, parse_request_head
from tests.fakes_http import DATE, LIMITS, request


def answer(status: int = 404, head: RequestHead | None = None, *, stays: bool = True) -> Answer:
    """Refuse a request."""
    refusal = RequestRefusal(status, "nothing is served here", "no_route", {"hint": "<look>"})
    return refusal_response(refusal, head, stays=stays, date=DATE, request_id=b"f00-1")


def parsed(data: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Start line, fields, body."""
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    return start, dict(line.split(b": ", 1) for line in lines), body


def head_of(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> RequestHead:
    """A request's head."""
    return parse_request_head(request(*lines, start=start), LIMITS.head)


def test_answer_is_a_complete_response_that_nobody_stores() -> None:
    made = answer()
    start, fields, body = parsed(made.data)
    assert start == b"HTTP/1.1 404 Not Found"
    assert fields == {
        b"Content-Type": b"application/problem+json",
        b"Content-Length": b"%d" % len(body),
        b"Date": DATE,
        b"Cache-Control": b"no-store",
        b"X-Request-Id": b"f00-1",
    }
    assert json.loads(body)["detail"] == "nothing is served here"
    assert json.loads(body)["hint"] == "<look>"
    assert made.body_bytes == len(body)


@pytest.mark.parametrize(
    ("minor", "stays", "value"), [(1, True, None), (1, False, b"close"), (0, True, b"keep-alive"), (0, False, b"close")]
)
def test_client_is_told_what_becomes_of_its_connection(minor: int, value: bytes | None, *, stays: bool) -> None:
    _, fields, _ = parsed(answer(head=head_of(start=b"GET / HTTP/1.%d" % minor), stays=stays).data)
    assert fields.get(b"Connection") == value


def test_request_that_was_not_understood_is_answered_all_the_same() -> None:
    _, fields, _ = parsed(answer(400, None, stays=False).data)
    assert fields[b"Connection"] == b"close"
    assert fields[b"Content-Type"] == b"application/problem+json"


def test_head_gets_the_length_of_the_body_without_the_body() -> None:
    made = answer(head=head_of(start=b"HEAD / HTTP/1.1"))
    _, fields, body = parsed(made.data)
    assert (body, made.body_bytes) == (b"", 0)
    assert fields[b"Content-Length"] == parsed(answer(head=head_of()).data)[1][b"Content-Length"]


@pytest.mark.parametrize(
    ("lines", "media_type"),
    [
        ([], b"application/problem+json"),
        ([b"Accept: */*"], b"application/problem+json"),
        ([b"Accept: text/html"], b"text/html; charset=utf-8"),
        ([b"accept: application/json;q=0.5", b"ACCEPT: text/html"], b"text/html; charset=utf-8"),
        ([b"Accept: text/html;q=0.5", b"Accept: application/json"], b"application/problem+json"),
    ],
)
def test_format_is_what_the_client_prefers_in_all_lines_of_accept(lines: list[bytes], media_type: bytes) -> None:
    _, fields, body = parsed(answer(head=head_of(*lines)).data)
    assert fields[b"Content-Type"] == media_type
    assert b"<look>" not in body or media_type == b"application/problem+json"


def test_busy_upstream_is_tried_again_soon_and_one_that_is_down_when_it_may_be_up() -> None:
    assert parsed(answer(503).data)[1][b"Retry-After"] == b"1"
    refusal = RequestRefusal(503, "down", "down", retry_after=15)
    made = refusal_response(refusal, None, stays=True, date=DATE, request_id=b"f00-1")
    assert parsed(made.data)[1][b"Retry-After"] == b"15"


@pytest.mark.parametrize(("stays", "value"), [(True, b"Upgrade"), (False, b"close, Upgrade")])
def test_wrong_version_of_websocket_is_told_the_right_one(value: bytes, *, stays: bool) -> None:
    start, fields, _ = parsed(answer(426, head_of(), stays=stays).data)
    assert start == b"HTTP/1.1 426 Upgrade Required"
    assert fields[b"Upgrade"] == b"websocket"
    assert fields[b"Sec-WebSocket-Version"] == b"13"
    assert fields[b"Connection"] == value


def test_nothing_tells_what_the_proxy_is_made_of() -> None:
    for head in (None, head_of(b"Accept: text/html")):
        data = answer(502, head, stays=False).data.lower()
        assert not any(word in data for word in (b"python", b"plexigate/", b"uvloop", b"server:", b"traceback"))


@pytest.mark.parametrize(("wait", "shown"), [(0.001, b"1"), (1.0, b"1"), (1.01, b"2"), (7_200.0, b"7200")])
def test_too_many_requests_are_told_when_there_is_a_token(wait: float, shown: bytes) -> None:
    refusal = too_many_requests(wait)
    made = refusal_response(refusal, None, stays=True, date=DATE, request_id=b"f00-1")
    start, fields, _ = parsed(made.data)
    assert start == b"HTTP/1.1 429 Too Many Requests"
    assert fields[b"Retry-After"] == shown
    assert refusal.reason == "request_rate"


def test_a_body_that_is_too_long_is_told_what_fits() -> None:
    refusal = body_too_long(1_000)
    assert (refusal.status, refusal.reason) == (413, "body_too_long")
    assert "1000" in refusal.detail


def test_upstream_that_is_down_says_when_to_come_again() -> None:
    refusal = all_down(7)
    assert (refusal.status, refusal.retry_after) == (503, 7)
    assert refusal.detail == refusal.reason == "no server of the upstream takes requests now"
