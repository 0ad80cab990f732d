"""Errors that the proxy answers with: written, logged, and the connection stays only where the request was understood."""

from dataclasses import replace

import pytest

from config.routes.fields import FieldsConfig
from proxy.building.routes.routes import field_edits
from proxy.downstream.pipeline.exchange import Exchange
from proxy.downstream.pipeline.own_answers import answer_fields, error_fields, refuse
from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.requests.refusals import GivenAnswer, RequestRefusal
from proxy.downstream.requests.request import Request, RequestReader
from proxy.downstream.requests.targets import RouteTarget
from proxy.routes.error_pages import ErrorPage, ErrorPages
from proxy.routes.field_edits import FieldEdits
from proxy.routes.security_fields import security_defaults
from proxy.routes.templates import Template
from tests.fakes_http import LIMITS, Conversation, FakeClient, request

REFUSAL = RequestRefusal(404, "nothing is served here", "no_route")
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class Case:
    """A client that is to be refused."""

    def __init__(self, *lines: bytes) -> None:
        self.talk = Conversation()
        service = self.talk.service
        self.client = FakeClient()
        self.log = RequestLog(service, self.talk.downstream.facts)
        self.request: Request = RequestReader().read(request(*lines), LIMITS.head)
        self.request.requester = self.talk.downstream.facts.requester
        self.writer = self.client.writer_for(self.request)
        self.exchange = Exchange(self.client, self.writer, service, self.request, b"f00-1")

    def refuse(self, refusal: RequestRefusal, *, may_stay: bool = True) -> bool:
        """Answer its request."""
        return refuse(refusal, self.exchange, self.writer, self.talk.service, self.log, may_stay=may_stay)

    def refuse_unread(self, refusal: RequestRefusal) -> bool:
        """Answer one that was not understood."""
        writer = self.client.writer_for(None)
        return refuse(refusal, None, writer, self.talk.service, self.log, may_stay=True)


@pytest.mark.parametrize(
    ("lines", "may_stay", "stays"),
    [
        ((), True, True),
        ((), False, False),
        ((b"Content-Length: 5",), True, False),
        ((b"Connection: close",), True, False),
        (WEBSOCKET, True, False),
    ],
    ids=["complete", "draining", "body is missing", "close", "websocket"],
)
def test_connection_stays_only_if_the_request_was_understood_to_its_end(
    lines: tuple[bytes, ...], *, may_stay: bool, stays: bool
) -> None:
    case = Case(*lines)
    assert case.refuse(REFUSAL, may_stay=may_stay) is stays
    data = b"".join(case.client.writes)
    assert data.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"X-Request-Id: f00-1\r\n" in data
    assert (b"Connection: close" in data) is not stays
    (record,) = case.talk.records
    assert (record.status, record.error, record.request_id) == (404, "no_route", "f00-1")
    assert 0 < record.response_bytes < len(data)


def test_what_was_not_understood_has_an_id_of_ours_and_no_target() -> None:
    case = Case()
    assert not case.refuse_unread(REFUSAL)
    (record,) = case.talk.records
    assert (record.target, record.status) == (None, 404)
    assert record.request_id is not None
    assert record.request_id.encode() in b"".join(case.client.writes)


def page(text: bytes) -> ErrorPages:
    """A page for programs."""
    return ErrorPages([{"404": {False: ErrorPage(b'"%b"' % text, is_html=False)}}])


def test_page_is_that_of_the_route_or_of_the_configuration() -> None:
    case = Case()
    case.talk.service.runtime = replace(case.talk.service.runtime, error_pages=page(b"everywhere"))
    case.refuse(REFUSAL, may_stay=True)
    assert b"".join(case.client.writes).endswith(b'"everywhere"')
    case.exchange.target = RouteTarget("a/", "chat", requires_pq=False, body_bytes=1, error_pages=page(b"route"))
    case.refuse(REFUSAL, may_stay=True)
    assert b"".join(case.client.writes).endswith(b'"route"')
    case.refuse_unread(REFUSAL)
    assert b"".join(case.client.writes).endswith(b'"everywhere"')


def test_error_has_the_fields_of_its_route_and_keeps_its_own() -> None:
    case = Case()
    edits = FieldEdits(
        put=[(b"X-Tag", Template(["a"])), (b"Cache-Control", Template(["public"]))],
        defaults=security_defaults(hsts=True),
    )
    case.exchange.target = RouteTarget("x", "chat", requires_pq=False, body_bytes=0, response_fields=edits)
    lines = b"Content-Type: text/plain\r\nReferrer-Policy: origin\r\n"
    given = GivenAnswer(b"Forbidden", lines, b"no", frozenset())
    for refusal in (REFUSAL, replace(REFUSAL, given=given)):
        case.refuse(refusal, may_stay=True)
        head = case.client.writes.pop().partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert b"X-Tag: a" in head
        assert b"Strict-Transport-Security: max-age=31536000" in head
        assert b"Cache-Control: public" not in head
        assert len([line for line in head if line.startswith(b"Referrer-Policy:")]) == 1


TARGET = RouteTarget("chat.test/", "chat", requires_pq=False, body_bytes=1_000)


def edits(**fields: object) -> FieldEdits | None:
    return field_edits(FieldsConfig.model_validate(fields))


def test_error_of_ours_has_the_fields_of_its_route() -> None:
    case = Case()
    marked = replace(TARGET, response_fields=edits(set={"X-Tag": "{host}", "A": "2"}))
    told = [error_fields(one, b"A: 1\r\n", case.request, b"f00-1") for one in (None, TARGET, marked)]
    assert told == [b"", b"", b"X-Tag: chat.test\r\n"]
    assert error_fields(marked, b"", None, b"f00-1") == b""


def test_answer_of_ours_is_changed_as_that_of_a_server() -> None:
    case = Case()
    marked = replace(TARGET, response_fields=edits(set={"A": "{host}"}, remove=["b"]))
    lines = b"A: 1\r\nB: 2\r\n"
    told = [answer_fields(one, lines, case.request, b"f00-1") for one in (None, TARGET, marked)]
    assert told == [lines, lines, b"A: chat.test\r\n"]
