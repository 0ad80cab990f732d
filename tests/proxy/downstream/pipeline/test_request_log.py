"""What the log says about a request; more of it in the tests of the connection."""

import ssl
from dataclasses import replace

import pytest

from config.schema import HttpProtocol
from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.limits.reasons import ConnectionReason
from proxy.tls.wire.record_flood import RecordFlood
from tests.fakes import FakeLoop, Wire
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
    log = RequestLog(talk.service, ClientFacts("192.0.2.7", "public", established()))
    log.refused(RequestRefusal(408, "too late", "head_timeout"), b"id", 17)
    (record,) = talk.records
    assert (record.status, record.error, record.request_id) == (408, "head_timeout", "id")
    assert (record.target, record.upstream, record.route, record.duration) == (None, None, None, 0.0)
    assert record.response_bytes == 17


def broken() -> ssl.SSLError:
    """Some error of OpenSSL."""
    incoming = ssl.MemoryBIO()
    incoming.write(bytes(100))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLError) as caught:
        tls.do_handshake()
    return caught.value


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (RecordFlood("TLS key updates"), ConnectionReason.RECORD_FLOOD, "too many TLS key updates"),
        (broken(), ConnectionReason.TLS_BROKEN, "WRONG_VERSION_NUMBER"),
    ],
)
@pytest.mark.parametrize("under_way", [False, True])
def test_connection_that_is_cut_for_its_tls_has_a_line_and_a_count(
    error: OSError,
    reason: str,
    detail: str,
    under_way: bool,  # noqa: FBT001
) -> None:
    talk = Conversation()
    if under_way:
        talk.receive(request())
    talk.client.lose(error)
    (cut,) = talk.cuts
    assert (cut.client, cut.listener, cut.reason, cut.detail) == ("192.0.2.7", "public", reason, detail)
    rows = talk.service.counters.snapshot()["failures"]
    assert {"listener": "public", "reason": reason, "count": 1} in rows


def test_connection_that_breaks_a_rule_of_http_2_has_a_line_and_a_count() -> None:
    talk = Conversation()
    tls = replace(established(), protocol=HttpProtocol.HTTP_2)
    log = RequestLog(talk.service, ClientFacts("192.0.2.7", "public", tls))
    log.cut(ConnectionReason.HTTP2_PING_FLOOD, "the client sends too many of them")
    (cut,) = talk.cuts
    assert (cut.client, cut.protocol, cut.reason) == ("192.0.2.7", "h2", "http2_ping_flood")
    assert cut.detail == "the client sends too many of them"
    assert talk.service.counters.snapshot()["failures"] == [
        {"listener": "public", "reason": "http2_ping_flood", "count": 1}
    ]


def test_refused_heads_have_the_protocol_too() -> None:
    talk = Conversation()
    tls = replace(established(), protocol=HttpProtocol.HTTP_2)
    log = RequestLog(talk.service, ClientFacts("192.0.2.7", "public", tls))
    log.refused(RequestRefusal(431, "too large", "head_too_large"), b"id", 0)
    (record,) = talk.records
    assert record.connection.protocol == "h2"


def test_bytes_of_the_socket_are_in_each_line_if_they_are_wanted() -> None:
    wire = Wire(FakeLoop())
    facts = ClientFacts("192.0.2.7", "public", established())
    facts.wire = wire.stream

    def over(*, logs_wire_bytes: bool) -> list[tuple[int, int] | None]:
        talk = Conversation()
        talk.connect(facts)
        log = RequestLog(talk.service, facts)
        talk.service.runtime = replace(talk.service.runtime, logs_wire_bytes=logs_wire_bytes)
        wire.stream.write(b"five!")
        talk.receive(request())
        talk.answer(response(b"Content-Length: 0"))
        wire.stream.write(b"three")
        log.refused(RequestRefusal(408, "too late", "head_timeout"), b"id", 17)
        return [record.wire for record in talk.records[-2:]]

    assert over(logs_wire_bytes=False) == [None, None]
    assert over(logs_wire_bytes=True) == [(0, 15), (0, 5)], "the first line has all that came before"
    facts.wire = None
    assert over(logs_wire_bytes=True) == [None, None], "requests share the socket"
    wire.close()


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_client_that_only_leaves_has_none(error: OSError | None) -> None:
    talk = Conversation()
    talk.client.lose(error)
    assert talk.cuts == []
    assert talk.service.counters.snapshot()["failures"] == []
