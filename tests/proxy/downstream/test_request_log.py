"""What the log says about a request; more of it in the tests of the connection."""

from proxy.downstream.client import ClientFacts
from proxy.downstream.refusals import Refusal
from proxy.downstream.request_log import RequestLog
from tests.fakes_http import WALL_CLOCK, Conversation, established, request, response


def test_request_that_was_answered() -> None:
    talk = Conversation(logs_query=True)
    talk.receive(request(start=b"GET /a?b HTTP/1.1"))
    talk.advance(2)
    talk.answer(response(b"Content-Length: 2", body=b"ok"))
    (record,) = talk.records
    assert record.target is not None
    assert (record.target.path, record.target.query) == ("/a", "b")
    assert (record.status, record.error, record.route, record.upstream) == (
        200,
        None,
        "chat.test/",
        "http://127.0.0.1:8000",
    )
    assert (record.response_bytes, record.first_byte, record.duration, record.time) == (2, 2.0, 2.0, WALL_CLOCK)


def test_request_that_was_not_understood() -> None:
    talk = Conversation()
    log = RequestLog(talk.service, ClientFacts("192.0.2.7", "public", established(), is_trusted=False))
    log.refused(None, None, Refusal(408, "too late", "head_timeout"), b"id")
    (record,) = talk.records
    assert (record.status, record.error, record.request_id) == (408, "head_timeout", "id")
    assert (record.target, record.upstream, record.route, record.duration) == (None, None, None, 0.0)
