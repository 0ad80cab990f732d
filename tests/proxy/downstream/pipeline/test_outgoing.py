"""Which server a request goes to, what is sent, and whether it may be sent once more."""

from dataclasses import replace
from typing import Any

import pytest

from config.routes.fields import FieldsConfig
from config.tables.upstream import Balance, SameSite
from proxy.building.routes.routes import field_edits
from proxy.downstream.pipeline.outgoing import Attempts, OutgoingRequest
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.responses import ResponseReader
from proxy.http.routing import Route, RouteTable
from proxy.routes.field_edits import FieldEdits
from proxy.routes.paths import PrefixChange
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.servers.sticky import CookieSettings
from tests.fakes import FakeLoop
from tests.fakes_http import LIMITS, RESPONSES, WALL_CLOCK, FakeServer, established, request, response, upstream

RETRIES: Any = {"retry_percent": 100.0}
STICKY: Any = {
    "balance": Balance.STICKY_COOKIE,
    "cookie": CookieSettings("__Host-chat", bytes(32), 1_000, SameSite.LAX),
}
REFUSED = UpstreamFailure(UpstreamFault.UNREACHABLE, "tried")
CLOSED = UpstreamFailure(UpstreamFault.CLOSED)
UNPROCESSED = UpstreamFailure(UpstreamFault.REFUSED)
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


def test_route_changes_the_path_and_turns_location_back() -> None:
    target = replace(TARGET, path_change=PrefixChange(b"/chat", b"/in"))
    case = Case(start=b"GET /chat/x?y=%2F HTTP/1.1", target=target)
    routes = RouteTable([Route("chat.test", "/", target)])
    assert case.request.routed(established(), routes) is target
    assert case.head()[0] == b"GET /in/x?y=%2F HTTP/1.1"
    read = ResponseReader().read(response(b"Content-Length: 0", b"Location: /in/y"), LIMITS.head, b"GET")
    assert case.outgoing.changed(read).lines == b"Location: /chat/y\r\n"


def attempts(servers: int = 2, start: bytes = b"GET / HTTP/1.1", **rules: Any) -> Attempts:
    loop = FakeLoop()
    of = upstream(*(FakeServer(loop, str(number)) for number in range(servers)), **rules)
    read = RequestReader().read(request(start=start), LIMITS.head)
    read.requester = ClientFacts("192.0.2.7", "public", established()).requester
    return Attempts(of, read, lambda: WALL_CLOCK)


def test_each_server_is_tried_once() -> None:
    of = attempts(servers=3)
    tried = [of.next_server() for _ in range(3)]
    assert len({server.name for server in tried if server is not None}) == 3
    assert of.server is tried[-1]
    assert of.next_server() is None
    assert of.last_word(REFUSED) is REFUSED, "there is none left"


def test_next_one_may_be_tried_while_there_is_one() -> None:
    of = attempts()
    of.next_server()
    assert of.last_word(REFUSED) is None


def test_client_that_found_none_is_told_when_to_come_again() -> None:
    assert (attempts(servers=0).refusal(None).retry_after or 0) > 0


@pytest.mark.parametrize(
    ("start", "sent", "may"),
    [(b"GET / HTTP/1.1", b"all of it", True), (b"GET / HTTP/1.1", b"", False), (b"POST / HTTP/1.1", b"all", False)],
)
def test_only_what_is_here_and_has_the_same_effect_twice_may_be_repeated(
    start: bytes, sent: bytes, *, may: bool
) -> None:
    of = attempts(start=start)
    of.next_server()
    for is_excused in (False, True):
        assert of.may_repeat(sent, CLOSED, is_excused=is_excused) is may


def test_what_a_server_refused_may_be_sent_to_another_one_whatever_its_method() -> None:
    of = attempts(servers=2, start=b"POST / HTTP/1.1")
    first = of.next_server()
    assert of.may_repeat(b"all of it", UNPROCESSED, is_excused=True)
    assert of.next_server() is not first
    assert not of.may_repeat(b"all of it", UNPROCESSED, is_excused=True)


def test_dead_idle_connection_is_replaced_once_and_at_the_same_server() -> None:
    of = attempts(servers=1)
    first = of.next_server()
    assert of.may_repeat(b"all of it", CLOSED, is_excused=True)
    assert of.next_server() is first
    assert not of.may_repeat(b"all of it", CLOSED, is_excused=True)


@pytest.mark.parametrize(("servers", "asked"), [(1, 2), (2, 2), (3, 3)])
def test_servers_that_end_fresh_connections_are_asked_in_turn_and_a_single_one_twice(servers: int, asked: int) -> None:
    of = attempts(servers=servers)
    names = [of.next_server()]
    while of.may_repeat(b"all of it", CLOSED, is_excused=False):
        names.append(of.next_server())
    assert (len(names), len(set(names))) == (asked, servers)
    assert not of.may_repeat(b"all of it", CLOSED, is_excused=False)


def test_no_other_failure_is_repeated() -> None:
    of = attempts()
    of.next_server()
    assert not of.may_repeat(b"all of it", UpstreamFailure(UpstreamFault.CUT), is_excused=False)


def test_budget_bounds_all_of_them() -> None:
    of = attempts(retry_percent=0.0, retries_per_second=0.0)
    of.next_server()
    assert not of.may_repeat(b"all of it", CLOSED, is_excused=False)


def test_response_binds_the_client_to_its_server_where_the_upstream_wants_that() -> None:
    answer = ResponseReader().read(response(b"Content-Length: 0"), RESPONSES.head, b"GET", None)
    plain, sticky = attempts(), attempts(**STICKY)
    plain.next_server()
    sticky.next_server()
    assert plain.bound(answer) is answer
    assert sticky.bound(answer).forwarded[-1].startswith(b"Set-Cookie: __Host-chat=")
