"""The responder of requests that the proxy answers itself, without a server."""

from functools import partial
from typing import Final

from proxy.auth.grant import Grant
from proxy.auth.sign_in import FORM_FIELDS, WRONG_FORM, WrongToken
from proxy.downstream.admission import RouteTarget
from proxy.downstream.answer_writer import OwnAnswer
from proxy.downstream.contracts import Client
from proxy.downstream.endpoint import Endpoint
from proxy.downstream.guesses import wrong_token
from proxy.downstream.outgoing import answer_fields
from proxy.downstream.refusals import (
    GivenAnswer,
    RequestRefusal,
    body_too_long,
    payload_refused,
    too_many_requests,
    wrong_method,
)
from proxy.downstream.request_body import RequestBody
from proxy.downstream.requests import Request
from proxy.downstream.responding import Responding
from proxy.downstream.service import HttpService
from proxy.downstream.slow_work import WorkCrowdedOut
from proxy.downstream.tally import RequestTally
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod, has_content, reason_phrase
from proxy.limits.fair_queue import NoRoom
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.requests import ClientRates
from proxy.payload.causes import Cause, PayloadFault
from proxy.payload.endpoints import SlowAnswer
from proxy.payload.suites import MessageUnreadable
from proxy.upstream.upstream import Upstream

# The queue of slow computations takes half of this time.
_QUEUE_SECONDS = 1.0
# Neither is the fault of the client.
_CROWDED = RequestRefusal(
    503,
    "too many sessions are being agreed on: try again in a second",
    f"{RequestReason.PAYLOAD}: too many sessions wait",
)
_FAILED = RequestRefusal(500, "the session could not be made", f"{RequestReason.PAYLOAD}: a session could not be made")
_SUCCESSES = range(200, 300)


class LocalResponder(Responding):
    """Answers one request by an endpoint, once all of its body is received. A `Responder`."""

    __slots__ = (
        "_body",
        "_client",
        "_data",
        "_endpoint",
        "_is_abandoned",
        "_is_answered",
        "_is_started",
        "_request",
        "_service",
        "_writer",
        "mark",
    )

    keeps_body: Final = True
    """Until it answers."""
    holds_client_back: Final = False
    """The client was told to continue if it waits for that."""
    has_responded: Final = False
    """An answer is written in one piece."""

    def __init__(
        self, client: Client, service: HttpService, request: Request, request_id: bytes, endpoint: Endpoint
    ) -> None:
        """A request whose head was read."""
        super().__init__(request, RequestTally(request_id, service.stopwatch()))
        self._client = client
        self._writer = client.writer_for(request)
        self._service = service
        self._request = request
        self._endpoint = endpoint
        self.mark: Final = endpoint.mark
        framing, limits = request.framing, service.runtime.limits.bodies
        ends_itself = request.head.major_version == 1
        self._body = RequestBody(framing, framing, limits, service.clock, ends_itself=ends_itself)
        self._data = bytearray()
        self._is_started = self._is_abandoned = self._is_answered = False

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Bound the body. Returns the refusal if its declared length is over the limit."""
        return None if self._body.bound(limit) else body_too_long(limit)

    def receive(self, data: bytes) -> bytes:
        """Keep the body. Raises `MalformedMessage`."""
        if self._is_abandoned or self._is_answered:
            return b""  # what still comes of it means nothing
        body, excess = self._body.receive_data(data)
        self.is_request_complete = self._body.is_complete
        self.tally.request_bytes = self._body.received
        if self._endpoint.takes_body:
            self._data += body
        return excess

    def end_request(self) -> None:
        """All of the body is here."""
        self._body.end()
        self.is_request_complete = True

    def hurry(self) -> None:
        """Ignored: it needs all of the body."""

    def start(
        self, target: RouteTarget, fields: bytes, grant: Grant | None = None, upstream: Upstream | None = None
    ) -> None:
        """Answer as soon as the request is complete, or at once if no body needs to come.

        A client that waits to be told to send its body gets its answer instead (RFC 9110 10.1.1).
        """
        del fields, grant, upstream
        self.target, self._is_started = target, True
        if self._request.framing.expects_continue and not self.is_request_complete:
            if not self._endpoint.takes_body:
                self._answer()
                return
            self._writer.invite()
        self.proceed()

    def proceed(self) -> None:
        """Answer what is complete."""
        if self.is_request_complete and self._is_started and not self._is_answered:
            self._answer()

    def pause_response(self) -> None:
        """Ignored: the answer is written in one piece."""

    def resume_response(self) -> None:
        """Ignored: see `pause_response`."""

    def abandon(self) -> None:
        """The client waits no more: it has left, or was refused."""
        super().abandon()
        self._is_abandoned = True

    def _answer(self) -> None:
        head, framing = self._request.head, self._request.framing
        asked = LocalRequest(head.method, framing.host, framing.target, head.headers, bytes(self._data))
        try:
            answer = self._endpoint.answer(asked, self._service.wall_clock())
        except PayloadFault as fault:
            self._client.refuse(payload_refused(fault.cause))
        except WrongMethod as error:
            self._client.refuse(wrong_method(error.allowed))
        except WrongToken as wrong:  # another name than above: mypyc gives a name one type
            shown = GivenAnswer(b"Forbidden", FORM_FIELDS, WRONG_FORM, frozenset())
            self._client.refuse(wrong_token(wrong.rule, self._request, self.holder, self._service, shown))
        else:
            if isinstance(answer, SlowAnswer):
                self._answer_later(answer)
            else:
                self._send(answer)

    def _answer_later(self, slow: SlowAnswer) -> None:
        """Have the secret computed in a thread, as often as the client may ask for that."""
        service = self._service
        wait = 0.0
        if self.holder != EXEMPT:
            wait = ClientRates(self.holder).wait(slow.rate, service.shared, service.clock())
        if wait:
            self._client.refuse(too_many_requests(wait))
            return
        outcome = partial(self._computed, slow)
        match service.slow_work.begin(self.holder, lambda: not self._is_abandoned, slow.secret, outcome):
            case NoRoom.SHARE:
                self._client.refuse(too_many_requests(_QUEUE_SECONDS))
            case NoRoom.FULL:
                self._client.refuse(_CROWDED)
            case None:
                pass

    def _computed(self, slow: SlowAnswer, secret: bytes | None, error: Exception | None) -> None:
        if self._is_abandoned:  # the client has left
            return
        if secret is not None:
            self._send(slow.answer(secret))
            return
        match error:
            case MessageUnreadable():
                self._client.refuse(payload_refused(Cause.BAD_HANDSHAKE))
            case WorkCrowdedOut():
                self._client.refuse(_CROWDED)
            case _:
                self._client.refuse(_FAILED)
                assert error is not None  # there is one of the two
                raise error  # an error of ours, for the log

    def _send(self, answer: LocalAnswer) -> None:
        tally, head, framing = self.tally, self._request.head, self._request.framing
        if framing.websocket is not None and head.major_version != 1 and answer.status in _SUCCESSES:
            # RFC 8441 section 5: it would open a WebSocket
            self._client.refuse(wrong_method(b"GET, HEAD"))
            return
        self._is_answered = True  # first: to write may block the client, and then its body still comes
        tally.status, tally.first_byte = answer.status, self._service.stopwatch()
        # what a WebSocket client sends ahead must not become the next request
        stays = self._request.may_be_followed and self.is_request_complete and self._client.may_stay
        length = b"Content-Length: %d\r\n" % len(answer.body) if has_content(answer.status) else b""
        body = b"" if head.method == b"HEAD" else answer.body
        tally.response_bytes = len(body)
        own = b"Date: %b\r\nX-Request-Id: %b\r\n" % (self._service.date(), tally.request_id)
        fields = answer_fields(self.target, answer.fields, self._request, tally.request_id)
        lines = b"".join((fields, length, own))
        self._writer.answer(OwnAnswer(answer.status, reason_phrase(answer.status), lines, body), stays=stays)
        self._client.finished(self._writer.persistence)
