"""The stages of a request, in their order. HTTP/1.1 and HTTP/2 send every request through them.

- read: `Inbox.next_request`, `StreamRequests.read`
- identify: `ClientFacts.client_of`
- route: `Request.routed`
- admit: `unmet_demand`, `ClosedRoutes.refusal`, `Responder.refused_by`
- limit: `Requester.take`
- authenticate: `AuthRequest`, `token_verdict`, `BasicCheck`
- answer: `Responder.start`, of a `LocalResponder` or an `Exchange` with a server
- respond: `AnswerWriter.start`, `AnswerWriter.answer`
- record: `RequestLog.request`, `RequestLog.refused`

A stage continues by returning what the next one needs, or nothing. It answers the request by
returning a `RequestRefusal`. It waits by returning a `Guard`, which calls the next stage later.

`admit` has the stages that need the head alone, and `answer` those that count or take time.
Between the two a connection of HTTP/1.1 hands over what came with the head: a body that breaks the
rules is not counted, and no server hears of it. What comes behind `answer` is called by events of
the server and of the client.

The stages are calls in two functions, not objects in a list: compiled code needs 125 instructions
to call an object by a protocol. For nine stages that is 4 % of a request that repeats the last one.
"""

from typing import Final

from proxy.auth.grant import Grant
from proxy.auth.rules import AuthRule, Rule, TokenRule
from proxy.downstream.pipeline.auth_request import AuthRequest
from proxy.downstream.pipeline.basic_check import BasicCheck
from proxy.downstream.pipeline.contracts import Client
from proxy.downstream.pipeline.exchange import Exchange
from proxy.downstream.pipeline.guard import Guard, settle
from proxy.downstream.pipeline.local import LocalResponder
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.pipeline.sealed import SealedBodies
from proxy.downstream.pipeline.token_check import token_verdict
from proxy.downstream.requests.answer_writer import AnswerWriter
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal, too_many_requests
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.requester import Requester
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.service import HttpService
from proxy.http.forwarded_head import trusted_request_id
from proxy.http.problems import pq_required
from proxy.limits.reasons import RequestReason

# Nearly every client with post-quantum key exchange offers it; a listener may take others as well.
_USUAL_GROUPS: Final = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")

_NOT_ALLOWED: Final = RequestRefusal(
    403, "this is not for the network that you come from", RequestReason.NETWORK_NOT_ALLOWED
)


def admit(
    request: Request, client: Client, writer: AnswerWriter, service: HttpService, facts: ClientFacts
) -> Responder:
    """Identify the client, find the route, and see whether the route admits both.

    Returns what answers the request. The connection has it refused if it has a `refusal`, and calls
    `answer` if it has none.
    """
    # identify
    fields = request.framing.fields
    requester = request.requester
    if requester is None:  # the first request of the connection with these fields
        requester = request.requester = facts.client_of(fields)
    request_id = (facts.is_trusted and trusted_request_id(fields)) or service.stamps.new_request_id()
    if facts.is_unreported:
        facts.report(requester.address, request.head.headers, service.counters.breaking)
    # route
    target = request.routed(facts.tls, service.runtime.routes)
    if isinstance(target, RequestRefusal):
        responder = _responder(request, client, writer, service, request_id, None)
        responder.refusal = target
        return responder
    # admit
    refusal = unmet_demand(target, facts, requester)
    if refusal is None and service.maintenance is not None:
        refusal = service.maintenance.refusal(target.label, requester)
    responder = _responder(request, client, writer, service, request_id, target if refusal is None else None)
    responder.target = target
    responder.tally.route = target.label
    responder.holder = requester.network
    responder.link = facts.link_of(requester) if facts.is_trusted else facts
    responder.refusal = responder.refused_by(target.body_bytes) if refusal is None else refusal
    return responder


def unmet_demand(target: RouteTarget, facts: ClientFacts, client: Requester) -> RequestRefusal | None:
    """The answer to a request whose client may not use the route; None for one that may.

    `facts` are those of the connection; `client` may be behind its peer.
    """
    group = facts.tls.group
    if target.requires_pq and not (group is not None and group.is_quantum_safe):
        name = facts.tls.group_name
        return RequestRefusal(
            403,
            f"this route requires post-quantum key exchange; your connection uses {name}",
            "route_requires_pq",
            pq_required(name, _USUAL_GROUPS),
        )
    if target.requires_certificate and facts.tls.client is None:
        return RequestRefusal(
            403,
            "this route requires a client certificate; your connection was made without one",
            "client_certificate_required",
        )
    if target.access is not None and not client.is_admitted_by(target.access):
        return _NOT_ALLOWED
    return None


def _responder(
    request: Request,
    client: Client,
    writer: AnswerWriter,
    service: HttpService,
    request_id: bytes,
    target: RouteTarget | None,
) -> Responder:
    """What answers a request on the way to a target, or has one refused that has none."""
    codec = None
    if target is not None:
        if target.payload is not None:
            codec = SealedBodies(service, request, target.payload, target.label)
        elif target.endpoint is not None:
            return LocalResponder(client, writer, service, request, request_id, target.endpoint)
    return Exchange(client, writer, service, request, request_id, codec)


def answer(responder: Responder, client: Client, service: HttpService) -> None:
    """Limit the rate of the client, authenticate it, and have it answered, now or later."""
    request = responder.request
    target = responder.target
    assert target is not None  # it was taken up without a refusal
    # limit
    if target.rate is not None and (wait := request.client.take(target.rate, service.shared, service.clock())):
        client.refuse(too_many_requests(wait))
        return
    # authenticate
    if target.auth is not None:
        outcome = _authenticate(target.auth, responder, client, service)
        if isinstance(outcome, Guard):
            outcome.wait()
        else:
            settle(outcome, responder, client)
        return
    # answer
    # names of users that only authentication may write; a request without them is sent as it came
    withheld = target.withheld
    if withheld is not None and not request.is_changed_by(withheld):
        withheld = None
    responder.start(request.upstream_fields(), withheld)


def _authenticate(
    rule: Rule, responder: Responder, client: Client, service: HttpService
) -> Grant | RequestRefusal | Guard:
    """Authenticate the client: what the server learns about it, a refusal, or a wait for more."""
    if isinstance(rule, AuthRule):
        return AuthRequest(rule, responder, client, service).begin()
    if isinstance(rule, TokenRule):
        return token_verdict(rule, responder.request, responder.holder, service)
    return BasicCheck(rule, responder, client, service).begin()
