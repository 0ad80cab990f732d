"""Routes that an operator has taken out of service."""

import json
from ipaddress import IPv4Network

import pytest

from proxy.downstream.requests.maintenance import ClosedRoute, ClosedRoutes
from proxy.http.websocket.frames import CloseCode
from proxy.routes.access import Access
from proxy.routes.error_pages import ErrorPage, ErrorPages
from tests.fakes_http import Conversation, request, response
from tests.fakes_http2 import GET, Http2Conversation

OURS = "chat.test/"
OK = response(b"Content-Length: 2", body=b"ok")
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = response(
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    start=b"HTTP/1.1 101 Switching Protocols",
)


def closed(route: str = OURS, *networks: str, pages: ErrorPages | None = None) -> ClosedRoutes:
    """One route, closed for all but the networks."""
    exempt = Access([IPv4Network(one) for one in networks], []) if networks else None
    return ClosedRoutes({route: ClosedRoute(77, pages, exempt)}, 10.0)


def test_request_is_answered_with_503_and_the_connection_stays() -> None:
    of = Conversation()
    of.service.maintain(closed())
    of.receive(request())
    answer = of.client.sent()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 77\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "this service is under maintenance"
    assert [(record.status, record.route, record.error) for record in of.records] == [(503, OURS, "maintenance")]
    of.service.maintain(None)
    of.receive(request())
    assert of.answer(OK)
    assert of.client.sent().endswith(b"ok")


def test_streams_of_http2_are_answered_alike() -> None:
    talk = Http2Conversation()
    talk.service.maintain(closed())
    stream = talk.ask(GET)
    assert (talk.status(stream), talk.head(stream)[b"retry-after"]) == (503, b"77")


def test_other_routes_are_served() -> None:
    of = Conversation()
    of.service.maintain(closed("chat.test/other"))
    of.receive(request())
    assert of.answer(OK)


def test_request_under_way_finishes() -> None:
    of = Conversation()
    of.receive(request())
    of.service.maintain(closed())
    assert of.answer(OK)
    assert of.client.sent().endswith(b"ok")


def test_page_of_the_operator_goes_before_that_of_the_route() -> None:
    of = Conversation()
    pages = ErrorPages([{"503": {False: ErrorPage(b'"soon"', is_html=False)}}])
    of.service.maintain(closed(pages=pages))
    of.receive(request())
    assert of.client.sent().endswith(b'"soon"')


@pytest.mark.parametrize(("network", "is_served"), [("192.0.2.0/24", True), ("198.51.100.0/24", False)])
def test_some_clients_are_served_all_the_same(network: str, *, is_served: bool) -> None:
    of = Conversation()
    of.service.maintain(closed(OURS, network))
    of.receive(request(b"X-Forwarded-For: 198.51.100.1"))
    assert (b" 503 " in of.client.sent()) is not is_served


def test_client_that_a_trusted_peer_speaks_for_is_judged() -> None:
    of = Conversation(is_trusted=True)
    of.service.maintain(closed(OURS, "198.51.100.0/24"))
    of.receive(request())
    assert b" 503 " in of.client.sent()
    of.receive(request(b"X-Forwarded-For: 198.51.100.1"))
    assert of.answer(OK)


def opened(of: Conversation) -> None:
    of.receive(request(*WEBSOCKET))
    of.answer(SWITCHED)
    assert b" 101 " in of.client.sent()


def is_closed(of: Conversation) -> bool:
    """Whether the client is asked to come again, within half of the drain timeout."""
    of.advance(5.0)
    return CloseCode.SERVICE_RESTART.to_bytes(2, "big") in of.client.sent()


def test_websockets_of_the_route_are_closed_and_others_stay() -> None:
    for maintenance, ends in (
        (closed(), True),
        (closed("chat.test/other"), False),
        (closed(OURS, "192.0.2.7/32"), False),
    ):
        of = Conversation()
        opened(of)
        of.service.maintain(maintenance)
        assert is_closed(of) is ends


def test_websocket_that_opens_meanwhile_is_closed_too() -> None:
    of = Conversation()
    of.receive(request(*WEBSOCKET))
    of.service.maintain(closed())
    of.answer(SWITCHED)
    assert is_closed(of)
