"""What answers a request, by its route: a server, a server with encrypted bodies between, or the proxy itself."""

from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client, Responder
from proxy.downstream.exchange import Exchange
from proxy.downstream.local import LocalResponder
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import Request
from proxy.downstream.sealed import SealedBodies
from proxy.downstream.service import HttpService


def responder_for(
    admitted: RouteTarget | RequestRefusal, client: Client, service: HttpService, request: Request, request_id: bytes
) -> Responder:
    """The responder of a request that was admitted to a route, or that is going to be refused."""
    if not isinstance(admitted, RequestRefusal):
        if admitted.payload is not None:
            bodies = SealedBodies(service, request, admitted.payload, admitted.label)
            return Exchange(client, service, request, request_id, bodies)
        if admitted.endpoint is not None:
            return LocalResponder(client, service, request, request_id, admitted.endpoint)
    return Exchange(client, service, request, request_id)
