"""Each request gets the responder of its route, or the answer that refuses it."""

from dataclasses import replace

import pytest

from proxy.downstream.admission import RouteTarget
from proxy.downstream.choosing import take_up
from proxy.downstream.client import ClientFacts
from proxy.downstream.contracts import Responder
from proxy.downstream.endpoint import Endpoint
from proxy.downstream.exchange import Exchange
from proxy.downstream.local import LocalResponder
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import RequestReader
from proxy.http.routing import Route, RouteTable
from proxy.payload.endpoints import key_endpoint
from tests.fakes_http import LIMITS, TRUST, Conversation, FakeClient, established, request
from tests.proxy.downstream.test_sealed import ROUTE

PLAIN = RouteTarget("chat", "x", requires_pq=False, body_bytes=1)
SEALED = RouteTarget("chat", "x", requires_pq=False, body_bytes=1, payload=ROUTE)
LOCAL = RouteTarget(
    "chat", "x", requires_pq=False, body_bytes=1, endpoint=Endpoint(key_endpoint(b""), mark=b"X-Mark: 1\r\n")
)


def taken_up(
    target: RouteTarget, *lines: bytes, is_trusted: bool = False, host: bytes = b"chat.test"
) -> tuple[Responder, RouteTarget | RequestRefusal]:
    service = Conversation().service
    service.runtime = replace(service.runtime, routes=RouteTable([Route("chat.test", "/", target)]))
    facts = ClientFacts("192.0.2.7", "public", established(), TRUST if is_trusted else None)
    read = RequestReader().read(request(*lines, host=host), LIMITS.head)
    return take_up(read, FakeClient(), service, facts)


@pytest.mark.parametrize(
    ("target", "kind", "is_marked"),
    [(PLAIN, Exchange, False), (SEALED, Exchange, True), (LOCAL, LocalResponder, True)],
    ids=["plain", "sealed", "local"],
)
def test_kind_follows_from_the_route(target: RouteTarget, kind: type[object], *, is_marked: bool) -> None:
    responder, taken = taken_up(target, b"Payload-Key: chat")
    assert taken is target
    assert type(responder) is kind
    assert responder.tally.route == "chat"
    assert bool(responder.mark) is is_marked, "where bodies are encrypted, and of our own, errors say so"


def test_refused_request_has_no_route() -> None:
    responder, taken = taken_up(PLAIN, host=b"other.test")
    assert isinstance(taken, RequestRefusal)
    assert (taken.status, responder.tally.route) == (421, None)


def test_body_over_the_limit_of_the_route_is_refused() -> None:
    responder, taken = taken_up(PLAIN, b"Content-Length: 2")
    assert isinstance(taken, RequestRefusal)
    assert (taken.status, responder.tally.route) == (413, "chat")


@pytest.mark.parametrize("is_trusted", [True, False])
def test_trusted_peer_names_the_request(*, is_trusted: bool) -> None:
    responder, _ = taken_up(PLAIN, b"X-Request-Id: theirs-1", is_trusted=is_trusted)
    assert (responder.tally.request_id == b"theirs-1") is is_trusted


@pytest.mark.parametrize("target", [PLAIN, SEALED, LOCAL], ids=["plain", "sealed", "local"])
def test_a_server_that_wants_a_proxy_header_is_told_of_the_client(target: RouteTarget) -> None:
    lines = (b"Payload-Key: chat", b"X-Forwarded-For: 203.0.113.9")
    own, _ = taken_up(target, *lines)
    assert isinstance(own.link, ClientFacts)
    assert own.link.address == "192.0.2.7"
    behind, _ = taken_up(target, *lines, is_trusted=True)
    assert not behind.link.keeps_servers, "a peer sends requests of others too: they share no connection"
