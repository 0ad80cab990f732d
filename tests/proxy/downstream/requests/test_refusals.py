"""The errors of the proxy: complete answers that say what is wrong and what helps."""

import json

import pytest

from proxy.downstream.http1.writer import whole_answer
from proxy.downstream.requests.answer_writer import OwnAnswer
from proxy.downstream.requests.refusals import (
    RequestRefusal,
    all_down,
    body_too_long,
    refusal_answer,
    too_many_requests,
    wrong_method,
)
from proxy.http.delivery import Persistence
from proxy.http.head import RequestHead, parse_request_head
from proxy.routes.error_pages import ErrorPage, ErrorPages
from tests.fakes_http import DATE, LIMITS, request


def answer(status: int = 404, head: RequestHead | None = None) -> OwnAnswer:
    """Refuse a request."""
    refusal = RequestRefusal(status, "nothing is served here", "no_route", {"hint": "<look>"})
    return refusal_answer(refusal, head, date=DATE, request_id=b"f00-1")


def parsed(made: OwnAnswer) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Start line, fields, body."""
    head, _, body = whole_answer(made, Persistence.IMPLICIT).partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    return start, dict(line.split(b": ", 1) for line in lines), body


def head_of(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> RequestHead:
    """A request's head."""
    return parse_request_head(request(*lines, start=start), LIMITS.head)


def test_answer_is_a_complete_response_that_nobody_stores() -> None:
    made = answer()
    start, fields, body = parsed(made)
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
    assert made.body == body


def test_request_that_was_not_understood_is_answered_all_the_same() -> None:
    _, fields, _ = parsed(answer(400, None))
    assert fields[b"Content-Type"] == b"application/problem+json"


def test_head_gets_the_length_of_the_body_without_the_body() -> None:
    made = answer(head=head_of(start=b"HEAD / HTTP/1.1"))
    _, fields, body = parsed(made)
    assert (body, made.body) == (b"", b"")
    assert fields[b"Content-Length"] == parsed(answer(head=head_of()))[1][b"Content-Length"]


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
    _, fields, body = parsed(answer(head=head_of(*lines)))
    assert fields[b"Content-Type"] == media_type
    assert b"<look>" not in body or media_type == b"application/problem+json"


def test_busy_upstream_is_tried_again_soon_and_one_that_is_down_when_it_may_be_up() -> None:
    assert parsed(answer(503))[1][b"Retry-After"] == b"1"
    refusal = RequestRefusal(503, "down", "down", retry_after=15)
    made = refusal_answer(refusal, None, date=DATE, request_id=b"f00-1")
    assert parsed(made)[1][b"Retry-After"] == b"15"


def test_wrong_version_of_websocket_is_told_the_right_one() -> None:
    start, fields, _ = parsed(answer(426, head_of()))
    assert start == b"HTTP/1.1 426 Upgrade Required"
    assert (fields[b"Upgrade"], fields[b"Sec-WebSocket-Version"]) == (b"websocket", b"13")


def test_nothing_tells_what_the_proxy_is_made_of() -> None:
    for head in (None, head_of(b"Accept: text/html")):
        data = whole_answer(answer(502, head), Persistence.CLOSE).lower()
        assert not any(word in data for word in (b"python", b"plexigate/", b"uvloop", b"server:", b"traceback"))


@pytest.mark.parametrize(("wait", "shown"), [(0.001, b"1"), (1.0, b"1"), (1.01, b"2"), (7_200.0, b"7200")])
def test_too_many_requests_are_told_when_there_is_a_token(wait: float, shown: bytes) -> None:
    refusal = too_many_requests(wait)
    made = refusal_answer(refusal, None, date=DATE, request_id=b"f00-1")
    start, fields, _ = parsed(made)
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


def test_a_wrong_method_is_told_the_right_ones() -> None:
    refusal = wrong_method(b"GET, HEAD")
    made = refusal_answer(refusal, head_of(), date=DATE, request_id=b"f00-1")
    start, fields, _ = parsed(made)
    assert start == b"HTTP/1.1 405 Method Not Allowed"
    assert fields[b"Allow"] == b"GET, HEAD"


class TestPagesOfTheOperator:
    """They replace the body and its type, and nothing else."""

    PAGES = ErrorPages(
        [{"404": {True: ErrorPage(b"<p>{detail} {request_id}", is_html=True), False: ErrorPage(b"[]", is_html=False)}}]
    )
    BROWSER = (b"Accept: text/html, */*;q=0.8",)

    def answered(
        self,
        *lines: bytes,
        status: int = 404,
        members: dict[str, object] | None = None,
        start: bytes = b"GET / HTTP/1.1",
    ) -> tuple[dict[bytes, bytes], bytes]:
        refusal = RequestRefusal(status, "it's gone", "no_route", members or {}, retry_after=7)
        made = refusal_answer(
            refusal,
            head_of(*lines, start=start),
            date=DATE,
            request_id=b"f00-1",
            mark=b"X-Mark: 1\r\n",
            pages=self.PAGES,
        )
        _, fields, body = parsed(made)
        return fields, body

    def test_a_person_gets_the_page_with_all_other_fields(self) -> None:
        fields, body = self.answered(*self.BROWSER)
        assert body == b"<p>it&#x27;s gone f00-1"
        assert fields == {
            b"Content-Type": b"text/html; charset=utf-8",
            b"Content-Length": b"%d" % len(body),
            b"Date": DATE,
            b"Cache-Control": b"no-store",
            b"X-Request-Id": b"f00-1",
            b"Retry-After": b"7",
            b"X-Mark": b"1",
        }

    def test_a_program_gets_json_unless_the_problem_has_a_type_of_its_own(self) -> None:
        fields, body = self.answered()
        assert (fields[b"Content-Type"], body) == (b"application/json", b"[]")
        fields, body = self.answered(members={"type": "urn:x"})
        assert fields[b"Content-Type"] == b"application/problem+json"
        assert json.loads(body)["type"] == "urn:x"
        assert self.answered(*self.BROWSER, members={"type": "urn:x"})[1].startswith(b"<p>it")

    def test_other_errors_have_our_own(self) -> None:
        _, body = self.answered(*self.BROWSER, status=502)
        assert body.startswith(b"<!doctype html>")
        assert json.loads(self.answered(status=502)[1])["status"] == 502

    def test_head_gets_the_length_of_the_page(self) -> None:
        fields, body = self.answered(*self.BROWSER, start=b"HEAD / HTTP/1.1")
        assert (fields[b"Content-Length"], body) == (b"23", b"")
