"""What a wrong token of the admin page costs its client: an answer, and soon a pause.

A right token is let in at any rate. So guesses from a network never lock out an operator in it.
"""

from proxy.auth.rules import TokenRule
from proxy.downstream.refusals import GivenAnswer, RequestRefusal, too_many_requests
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.requests import ClientRates
from proxy.observe.events.clients import PageTokenWrong


def wrong_token(
    rule: TokenRule, request: Request, network: bytes, service: HttpService, answer: GivenAnswer | RequestRefusal
) -> RequestRefusal:
    """Count a wrong token of a client `network`. Returns `answer`, or a 429 if there were many."""
    now = service.clock()
    if (count := rule.wrong.add(now)) is not None:
        service.log_guesses(PageTokenWrong(request.client.address, count))
    if network != EXEMPT and (wait := ClientRates(network).wait(rule.rate, service.shared, now)):
        return too_many_requests(wait)
    if isinstance(answer, RequestRefusal):
        return answer
    return RequestRefusal(403, "", RequestReason.PAGE_TOKEN, given=answer)
