"""A request that has to prove by name and password who sent it (RFC 7617).

Theory of operation. A password is verified in a thread, because that takes tens of milliseconds of
a core. Clients take turns there, and each may have so many verified in a time. So guessing costs an
attacker time, and costs others little. A password that was right is remembered for a while. A
browser asks for many things at once: its requests with the same credentials share a verification.
"""

from typing import Final

from proxy.auth.basic import BasicCredentials, basic_credentials
from proxy.auth.rules import BasicRule, user_grant
from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client, Responder
from proxy.downstream.guard import Guard
from proxy.downstream.refusals import RequestRefusal, too_many_requests
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.downstream.slow_work import WorkCrowdedOut
from proxy.limits.fair_queue import NoRoom
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.requests import ClientRates

# The queue of slow computations takes half of this time.
_QUEUE_SECONDS: Final = 1.0
_RIGHT: Final = b"right"
_CROWDED: Final = RequestRefusal(
    503,
    "too many passwords are being verified: try again in a second",
    f"{RequestReason.AUTH}: too many passwords wait",
)
_FAILED: Final = RequestRefusal(
    500, "the password could not be verified", f"{RequestReason.AUTH}: a password could not be verified"
)


class BasicCheck(Guard):
    """Verifies the credentials of one request."""

    __slots__ = ("_credentials", "_digest", "_rule")

    def __init__(
        self,
        rule: BasicRule,
        responder: Responder,
        target: RouteTarget,
        request: Request,
        client: Client,
        service: HttpService,
    ) -> None:
        """`begin` comes next."""
        super().__init__(responder, target, request, client, service)
        self._rule: Final = rule
        self._credentials = BasicCredentials("", b"")
        self._digest = b""

    def begin(self) -> None:
        """As `Guard` says."""
        credentials = basic_credentials(self._request.head.headers)
        if credentials is None:
            self._ask("this route asks for a name and a password", "no credentials")
            return
        verified, now = self._rule.verified, self._service.clock()
        self._credentials, self._digest = credentials, verified.digest(credentials)
        if verified.has(self._digest, now):
            self.pass_on(user_grant(credentials.name))
            return
        if self._service.shared_work.join(self._digest, self._verified) or self._verify():
            self.wait()

    def _verify(self) -> bool:
        """Have the password verified in a thread. False if the client was refused."""
        service, network = self._service, self._responder.holder
        wait = 0.0
        if network != EXEMPT:
            wait = ClientRates(network).wait(self._rule.rate, service.shared, service.clock())
        if wait:
            self._refuse(too_many_requests(wait))
            return False
        match service.shared_work.begin(self._digest, network, self._compute, self._verified):
            case NoRoom.SHARE:
                self._refuse(too_many_requests(_QUEUE_SECONDS))
            case NoRoom.FULL:
                self._refuse(_CROWDED)
            case None:
                return True
        return False

    def _compute(self) -> bytes:
        """Run in the thread."""
        name, password = self._credentials
        return _RIGHT if self._rule.users.accepts(name, password) else b""

    def _verified(self, result: bytes | None, error: Exception | None) -> None:
        if result == _RIGHT:
            self._rule.verified.add(self._digest, self._service.clock())
        if self.is_over:
            return
        if result == _RIGHT:
            self.pass_on(user_grant(self._credentials.name))
        elif result is not None:
            self._ask("the name or the password is wrong", "wrong name or password")
        else:
            self._refuse(_CROWDED if isinstance(error, WorkCrowdedOut) else _FAILED)

    def _ask(self, detail: str, reason: str) -> None:
        """Answer with a challenge (RFC 9110 section 15.5.2)."""
        self._refuse(RequestRefusal(401, detail, f"{RequestReason.AUTH}: {reason}", fields=self._rule.challenge))

    def _refuse(self, refusal: RequestRefusal) -> None:
        self.is_over = True
        self._client.refuse(refusal)
