"""Each request gets the responder of its route."""

import pytest

from proxy.downstream.admission import RouteTarget, UpstreamPlace
from proxy.downstream.choosing import responder_for
from proxy.downstream.exchange import Exchange
from proxy.downstream.local import LocalResponder
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import RequestReader
from proxy.payload.endpoints import key_endpoint
from tests.fakes_http import LIMITS, Conversation, FakeClient, request
from tests.proxy.downstream.test_sealed import ROUTE

PLAIN = RouteTarget("x", UpstreamPlace("x"), requires_pq=False, body_bytes=1)
SEALED = RouteTarget("x", UpstreamPlace("x"), requires_pq=False, body_bytes=1, payload=ROUTE)
LOCAL = RouteTarget("x", UpstreamPlace("x"), requires_pq=False, body_bytes=1, endpoint=key_endpoint(b""))


@pytest.mark.parametrize(
    ("admitted", "kind", "is_marked"),
    [
        (RequestRefusal(404, "", ""), Exchange, False),
        (PLAIN, Exchange, False),
        (SEALED, Exchange, True),
        (LOCAL, LocalResponder, True),
    ],
)
def test_kind_follows_from_the_route(
    admitted: RouteTarget | RequestRefusal, kind: type[object], *, is_marked: bool
) -> None:
    read = RequestReader().read(request(), LIMITS.head)
    responder = responder_for(admitted, FakeClient(), Conversation().service, read, b"id")
    assert type(responder) is kind
    assert bool(responder.mark) is is_marked, "where bodies are encrypted, and of our own, errors say so"
