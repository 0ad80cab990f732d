"""A request for the admin page that has to prove by a token who sent it.

A program sends the token with each request (RFC 6750), a browser the cookie that it got for one.
Neither goes on to the page, which has nothing to do with it.

A wrong token costs its client an answer, and soon a pause. A right one is let in at any rate. So
guesses from a network never lock out an operator in it.
"""

from typing import Final

from proxy.auth.grant import Grant
from proxy.auth.page_tokens import COOKIE, bearer_token
from proxy.auth.rules import TokenRule
from proxy.auth.sign_in import CHALLENGE, FORM, FORM_FIELDS, is_cross_site
from proxy.downstream.requests.refusals import GivenAnswer, RequestRefusal, too_many_requests, wrong_method
from proxy.downstream.requests.request import Request
from proxy.downstream.service.service import HttpService
from proxy.http.fields import cookie_value
from proxy.http.problems import prefers_html
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.request_rates import ClientRates
from proxy.observe.events.clients import PageTokenWrong

PAGE_GRANT: Final = Grant(frozenset({b"authorization", b"cookie"}))
"""What every route to the admin page withholds."""

_WRONG: Final = RequestRefusal(401, "this token is wrong", RequestReason.PAGE_TOKEN, fields=CHALLENGE)
_NO_TOKEN: Final = f"{RequestReason.AUTH}: no token"
_ASKED: Final = RequestRefusal(401, "the admin page asks for a token", _NO_TOKEN, fields=CHALLENGE)
_FORM: Final = RequestRefusal(
    401, "", _NO_TOKEN, given=GivenAnswer(b"Unauthorized", CHALLENGE + FORM_FIELDS, FORM, frozenset())
)


def token_verdict(rule: TokenRule, request: Request, network: bytes, service: HttpService) -> Grant | RequestRefusal:
    """Verify the token or the session of a request from a client `network`."""
    head = request.head
    if head.method not in {b"GET", b"HEAD"}:
        return wrong_method(b"GET, HEAD")
    token = bearer_token(head.headers)
    if token is not None:
        return PAGE_GRANT if rule.tokens.knows(token) else wrong_token(rule, request, network, service, _WRONG)
    session = cookie_value(head.headers, COOKIE)
    if session is not None and rule.tokens.is_open(session, service.wall_clock()):
        # SameSite=Strict lets through what other subdomains of this site ask for
        return _ASKED if is_cross_site(head.headers) else PAGE_GRANT
    accept = [value for name, value in head.headers if name.lower() == b"accept"]
    return _FORM if accept and prefers_html(b", ".join(accept)) else _ASKED


def wrong_token(
    rule: TokenRule, request: Request, network: bytes, service: HttpService, answer: GivenAnswer | RequestRefusal
) -> RequestRefusal:
    """Count a wrong token of a client `network`. Returns `answer`, or a 429 if there were many."""
    now = service.clock()
    if (count := rule.wrong.add(now)) is not None:
        service.ledger.log_event(PageTokenWrong(request.client.address, count))
    if network != EXEMPT and (wait := ClientRates(network).take(rule.rate, service.shared, now)):
        return too_many_requests(wait)
    if isinstance(answer, RequestRefusal):
        return answer
    return RequestRefusal(403, "", RequestReason.PAGE_TOKEN, given=answer)
