"""Which kind of exchange a request gets."""

from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client
from proxy.downstream.exchange import Exchange
from proxy.downstream.local import LocalExchange
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import Request
from proxy.downstream.sealed import SealedExchange
from proxy.downstream.service import HttpService


def exchange_for(
    admitted: RouteTarget | RequestRefusal, client: Client, service: HttpService, request: Request, request_id: bytes
) -> Exchange:
    """The exchange of a request that was admitted to a route, or that is going to be refused."""
    if not isinstance(admitted, RequestRefusal):
        if admitted.payload is not None:
            return SealedExchange(client, service, request, request_id, admitted.payload)
        if admitted.endpoint is not None:
            return LocalExchange(client, service, request, request_id, admitted.endpoint)
    return Exchange(client, service, request.head, request.framing, request_id)
