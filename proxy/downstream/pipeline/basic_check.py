"""A request that has to prove by name and password who sent it (RFC 7617).

Theory of operation. A password is verified in a thread, because that takes tens of milliseconds of
a core. Clients take turns there, and each may have a limited number verified in a time. So guessing
costs an attacker time, and costs others little. A password that was right is remembered for a
while. A browser asks for many things at once: its requests with the same credentials share a
verification.
"""

from typing import Final

from proxy.auth.basic import BasicCredentials, basic_credentials
from proxy.auth.grant import Grant
from proxy.auth.rules import BasicRule, user_grant
from proxy.downstream.pipeline.contracts import Client
from proxy.downstream.pipeline.guard import Guard
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.refusals import RequestRefusal, too_many_requests
from proxy.downstream.service.service import HttpService
from proxy.downstream.service.slow_work import WorkCrowdedOut
from proxy.limits.fair_queue import NoRoom
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.request_rates import ClientRates

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

    def __init__(self, rule: BasicRule, responder: Responder, client: Client, service: HttpService) -> None:
        super().__init__(responder, client, service)
        self._rule: Final = rule
        self._credentials = BasicCredentials("", b"")
        self._digest = b""

    def begin(self) -> Grant | RequestRefusal | Guard:
        """Find out; the guard if that takes time."""
        credentials = basic_credentials(self._request.head.headers)
        if credentials is None:
            return self._challenge("this route asks for a name and a password", "no credentials")
        verified = self._rule.verified
        self._credentials = credentials
        self._digest = verified.digest(credentials)
        if verified.has(self._digest, self._service.clock()):
            return user_grant(credentials.name)
        if self._service.shared_work.join(self._digest, self._verified):
            return self
        return self._verify() or self

    def _verify(self) -> RequestRefusal | None:
        """Have the password verified in a thread, or return the refusal."""
        service = self._service
        network = self._responder.holder
        wait = 0.0
        if network != EXEMPT:
            wait = ClientRates(network).take(self._rule.rate, service.shared, service.clock())
        if wait:
            return too_many_requests(wait)
        match service.shared_work.begin(self._digest, network, self._compute, self._verified):
            case NoRoom.SHARE:
                return too_many_requests(_QUEUE_SECONDS)
            case NoRoom.FULL:
                return _CROWDED
            case None:
                return None

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
            self.decide(user_grant(self._credentials.name))
        elif result is not None:
            self.decide(self._challenge("the name or the password is wrong", "wrong name or password"))
        else:
            self.decide(_CROWDED if isinstance(error, WorkCrowdedOut) else _FAILED)

    def _challenge(self, detail: str, reason: str) -> RequestRefusal:
        """Ask for credentials (RFC 9110 section 15.5.2)."""
        return RequestRefusal(401, detail, f"{RequestReason.AUTH}: {reason}", fields=self._rule.challenge)
