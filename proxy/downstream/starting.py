"""Starts the responder of a request, if the rate and the guard of its route let it pass."""

from proxy.auth.rules import AuthRule, TokenRule
from proxy.downstream.admission import RouteTarget
from proxy.downstream.auth_request import AuthRequest
from proxy.downstream.basic_check import BasicCheck
from proxy.downstream.choosing import Chosen
from proxy.downstream.contracts import Client
from proxy.downstream.refusals import too_many_requests
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.downstream.token_check import TokenCheck


def start(responder: Chosen, target: RouteTarget, request: Request, client: Client, service: HttpService) -> None:
    """Start it now or later, or have the client refused."""
    if target.rate is not None and (wait := request.wait(target.rate, service.shared, service.clock())):
        client.refuse(too_many_requests(wait))
        return
    rule = target.auth
    if rule is None:
        withheld = target.withheld
        if withheld is not None and not request.is_changed_by(withheld):
            withheld = None
        responder.start(target, request.upstream_fields(), withheld)
    elif isinstance(rule, AuthRule):
        AuthRequest(rule, responder, target, request, client, service).begin()
    elif isinstance(rule, TokenRule):
        TokenCheck(rule, responder, target, request, client, service).begin()
    else:
        BasicCheck(rule, responder, target, request, client, service).begin()
