"""What a server gets of a request: its head, with what changes in it on the way."""

from ipaddress import IPv4Address
from typing import Any

from proxy.downstream.admission import RouteTarget
from proxy.downstream.outgoing import OutgoingRequest
from proxy.downstream.requests import RequestReader
from proxy.http.framing import BodyKind
from proxy.http.headers import ForwardedPeer
from tests.fakes_http import LIMITS, FakeClient, request

PEER = ForwardedPeer.of(IPv4Address("192.0.2.7"), "X25519MLKEM768", is_trusted=False)
TARGET = RouteTarget("chat.test/", "chat", requires_pq=False, body_bytes=1_000)


class Case:
    """A request on its way."""

    def __init__(self, *lines: bytes, start: bytes = b"GET / HTTP/1.1", target: RouteTarget = TARGET) -> None:
        self.request = RequestReader().read(request(*lines, start=start), LIMITS.head)
        self.outgoing = OutgoingRequest(self.request, target, FakeClient(), self.request.upstream_fields(PEER))

    def head(self, **framed: Any) -> list[bytes]:
        """The lines of its head; `framed` is what changes in the framing."""
        framing = self.request.framing._replace(**framed) if framed else self.request.framing
        self.outgoing.write_head(framing, b"f00-1")
        text = self.outgoing.text
        assert text.endswith(b"\r\n\r\n")
        return text[:-4].split(b"\r\n")


def test_request_line_and_fields_go_on() -> None:
    lines = Case(b"Accept: */*", start=b"GET /x?y=%2F HTTP/1.1").head()
    assert lines[0] == b"GET /x?y=%2F HTTP/1.1"
    assert b"Accept: */*" in lines
    assert lines[-1] == b"X-Request-Id: f00-1"


def test_nothing_is_written_before_the_framing_is_known() -> None:
    assert Case().outgoing.text == b""


def test_body_that_changes_on_its_way_is_framed_anew() -> None:
    case = Case(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1")
    assert b"Transfer-Encoding: chunked" in case.head()
    lines = case.head(body=BodyKind.LENGTH, length=3)
    assert b"Content-Length: 3" in lines
    assert b"Transfer-Encoding: chunked" not in lines
