"""What a route changes in a request on its way to a server, and in the response on its way back."""

from dataclasses import replace

from config.routes.fields import FieldsConfig
from proxy.building.routes.routes import field_edits
from proxy.downstream.pipeline.outgoing import OutgoingRequest, answer_fields, error_fields
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.responses import ResponseReader
from proxy.http.routing import Route, RouteTable
from proxy.routes.field_edits import FieldEdits
from proxy.routes.paths import PrefixChange
from tests.fakes_http import LIMITS, established, request, response

TARGET = RouteTarget("chat.test/", "chat", requires_pq=False, body_bytes=1_000)


class Case:
    """A request on its way."""

    def __init__(self, *lines: bytes, start: bytes = b"GET / HTTP/1.1", target: RouteTarget = TARGET) -> None:
        self.request = RequestReader().read(request(*lines, start=start), LIMITS.head)
        self.request.requester = ClientFacts("192.0.2.7", "public", established()).requester
        self.outgoing = OutgoingRequest(self.request, target, self.request.upstream_fields())

    def head(self, framing: RequestFraming | None = None) -> list[bytes]:
        """The lines of its head, if the body is framed as it came or in another way."""
        self.outgoing.write_head(framing or self.request.framing, b"f00-1")
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
    lines = case.head(case.request.framing.with_body(BodyKind.LENGTH, 3))
    assert b"Content-Length: 3" in lines
    assert b"Transfer-Encoding: chunked" not in lines


def edits(**fields: object) -> FieldEdits | None:
    return field_edits(FieldsConfig.model_validate(fields))


def test_route_changes_the_fields_of_a_request_whatever_its_framing() -> None:
    target = replace(TARGET, request_fields=edits(set={"X-Client": "{client}", "Host": "inner"}, remove=["Accept"]))
    case = Case(b"Accept: */*", b"x-client: forged", b"Transfer-Encoding: chunked", target=target)
    for lines in (case.head(), case.head(case.request.framing.with_body(BodyKind.LENGTH, 3))):
        assert lines[1] == b"Host: inner"
        assert [line for line in lines if line.lower().startswith((b"accept", b"x-client", b"host"))] == [
            b"Host: inner",
            b"X-Client: 192.0.2.7",
        ]
        assert b"X-Forwarded-Host: chat.test" in lines


def test_route_changes_the_fields_of_a_response() -> None:
    target = replace(TARGET, response_fields=edits(set={"X-Tag": "{host} {request_id} {tls_group}"}))
    raw = response(b"Content-Length: 0", b"x-tag: 1")
    read = ResponseReader().read(raw, LIMITS.head, b"GET")
    case = Case(target=target)
    case.head()
    assert case.outgoing.changed(read).lines == b"X-Tag: chat.test f00-1 X25519MLKEM768\r\n"
    assert Case().outgoing.changed(read) is read


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


def test_route_changes_the_path_and_turns_location_back() -> None:
    target = replace(TARGET, path_change=PrefixChange(b"/chat", b"/in"))
    case = Case(start=b"GET /chat/x?y=%2F HTTP/1.1", target=target)
    routes = RouteTable([Route("chat.test", "/", target)])
    assert case.request.routed(established(), routes) is target
    assert case.head()[0] == b"GET /in/x?y=%2F HTTP/1.1"
    read = ResponseReader().read(response(b"Content-Length: 0", b"Location: /in/y"), LIMITS.head, b"GET")
    assert case.outgoing.changed(read).lines == b"Location: /chat/y\r\n"
