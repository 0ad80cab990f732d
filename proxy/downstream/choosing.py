"""Chooses by the route what answers a request: a server, a server behind a codec, or the proxy."""

from typing import TYPE_CHECKING, TypeAlias

from proxy.downstream.admission import RouteTarget
from proxy.downstream.client import ClientFacts
from proxy.downstream.contracts import Client
from proxy.downstream.demands import unmet_demand
from proxy.downstream.exchange import Exchange
from proxy.downstream.local import LocalResponder
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.requests import Request
from proxy.downstream.sealed import SealedBodies
from proxy.downstream.service import HttpService
from proxy.http.headers import trusted_request_id

if TYPE_CHECKING:
    from proxy.downstream.responding import Responding

Chosen: TypeAlias = Exchange | LocalResponder
"""All that are a `Responder`. Compiled code calls these two directly, and a protocol by name."""


def take_up(
    request: Request, client: Client, service: HttpService, facts: ClientFacts
) -> tuple[Chosen, RouteTarget | RequestRefusal]:
    """Return the responder of a request, bounded by the route, and its target or its refusal."""
    fields, requester = request.framing.fields, request.requester
    if requester is None:
        requester = request.requester = facts.client_of(fields)
    request_id = (facts.is_trusted and trusted_request_id(fields)) or service.new_request_id()
    if facts.is_unreported:
        facts.report(requester.address, request.head.headers, service.counters.breaking)
    target = request.admitted(facts.tls, service.runtime.routes)
    if isinstance(target, RequestRefusal):
        return Exchange(client, service, request, request_id), target
    refusal = unmet_demand(target, facts, requester)
    if refusal is None and service.maintenance is not None:
        refusal = service.maintenance.refusal(target.label, requester)
    responder: Chosen
    if refusal is not None:
        responder = Exchange(client, service, request, request_id)
    elif target.payload is not None:
        bodies = SealedBodies(service, request, target.payload, target.label)
        responder = Exchange(client, service, request, request_id, bodies)
    elif target.endpoint is not None:
        responder = LocalResponder(client, service, request, request_id, target.endpoint)
    else:
        responder = Exchange(client, service, request, request_id)
    # one class and not a union of two: else compiled code sets each of these by its name
    shared: Responding = responder
    shared.target = target
    shared.tally.route = target.label
    shared.holder = requester.network
    shared.link = facts.link_of(requester) if facts.is_trusted else facts
    return responder, refusal or responder.refused_by(target.body_bytes) or target
