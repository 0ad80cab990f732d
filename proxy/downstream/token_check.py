"""A request for the admin page that has to prove by a token who sent it.

A program sends the token with each request (RFC 6750), a browser the cookie that it got for one.
Neither goes on to the page, which has nothing to do with it.
"""

from typing import Final

from proxy.auth.grant import Grant
from proxy.auth.page_tokens import COOKIE, bearer_token
from proxy.auth.rules import TokenRule
from proxy.auth.sign_in import CHALLENGE, FORM, FORM_FIELDS, is_cross_site
from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client, Responder
from proxy.downstream.guard import Guard
from proxy.downstream.guesses import wrong_token
from proxy.downstream.refusals import GivenAnswer, RequestRefusal, wrong_method
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.http.cookies import cookie_value
from proxy.http.problems import prefers_html
from proxy.limits.reasons import RequestReason

PAGE_GRANT: Final = Grant(frozenset({b"authorization", b"cookie"}))
"""What every route to the admin page withholds."""

_WRONG: Final = RequestRefusal(401, "this token is wrong", RequestReason.PAGE_TOKEN, fields=CHALLENGE)
_NO_TOKEN: Final = f"{RequestReason.AUTH}: no token"
_ASKED: Final = RequestRefusal(401, "the admin page asks for a token", _NO_TOKEN, fields=CHALLENGE)
_FORM: Final = RequestRefusal(
    401, "", _NO_TOKEN, given=GivenAnswer(b"Unauthorized", CHALLENGE + FORM_FIELDS, FORM, frozenset())
)


class TokenCheck(Guard):
    """Verifies the token or the session of one request."""

    __slots__ = ("_rule",)

    def __init__(
        self,
        rule: TokenRule,
        responder: Responder,
        target: RouteTarget,
        request: Request,
        client: Client,
        service: HttpService,
    ) -> None:
        """`begin` comes next."""
        super().__init__(responder, target, request, client, service)
        self._rule: Final = rule

    def begin(self) -> None:
        """As `Guard` says."""
        refusal = self._judged()
        if refusal is None:
            self.pass_on(PAGE_GRANT)
        else:
            self.is_over = True
            self._client.refuse(refusal)

    def _judged(self) -> RequestRefusal | None:
        head, service, rule = self._request.head, self._service, self._rule
        if head.method not in {b"GET", b"HEAD"}:
            return wrong_method(b"GET, HEAD")
        token = bearer_token(head.headers)
        if token is not None:
            if rule.tokens.knows(token):
                return None
            return wrong_token(rule, self._request, self._responder.holder, service, _WRONG)
        session = cookie_value(head.headers, COOKIE)
        if session is not None and rule.tokens.is_open(session, service.wall_clock()):
            # SameSite=Strict lets through what other subdomains of this site ask for
            return _ASKED if is_cross_site(head.headers) else None
        accept = [value for name, value in head.headers if name.lower() == b"accept"]
        return _FORM if accept and prefers_html(b", ".join(accept)) else _ASKED
