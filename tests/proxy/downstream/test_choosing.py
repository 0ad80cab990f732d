"""Each request gets the exchange of its route."""

import pytest

from proxy.downstream.admission import RouteTarget, UpstreamPlace
from proxy.downstream.choosing import exchange_for
from proxy.downstream.exchange import Exchange
from proxy.downstream.local import LocalExchange
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import RequestReader
from proxy.downstream.sealed import SealedExchange
from proxy.payload.endpoints import key_endpoint
from tests.fakes_http import LIMITS, Conversation, FakeClient, request
from tests.proxy.downstream.test_sealed import ROUTE

PLAIN = RouteTarget("x", UpstreamPlace("x"), requires_pq=False, body_bytes=1)
SEALED = RouteTarget("x", UpstreamPlace("x"), requires_pq=False, body_bytes=1, payload=ROUTE)
LOCAL = RouteTarget("x", UpstreamPlace("x"), requires_pq=False, body_bytes=1, endpoint=key_endpoint(b""))


@pytest.mark.parametrize(
    ("admitted", "kind"),
    [(RequestRefusal(404, "", ""), Exchange), (PLAIN, Exchange), (SEALED, SealedExchange), (LOCAL, LocalExchange)],
)
def test_kind_follows_from_the_route(admitted: RouteTarget | RequestRefusal, kind: type[Exchange]) -> None:
    read = RequestReader().read(request(), LIMITS.head)
    assert type(exchange_for(admitted, FakeClient(), Conversation().service, read, b"id")) is kind
