"""The responder of requests that the proxy answers itself, without a server."""

from enum import Enum, auto
from functools import partial

from proxy.auth.grant import Grant
from proxy.auth.sign_in import FORM_FIELDS, WRONG_FORM, WrongToken
from proxy.downstream.pipeline.contracts import Client
from proxy.downstream.pipeline.own_answers import answer_fields
from proxy.downstream.pipeline.responder import RequestTally, Responder
from proxy.downstream.pipeline.token_check import wrong_token
from proxy.downstream.requests.answer_writer import AnswerWriter, OwnAnswer
from proxy.downstream.requests.body import RequestBody
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.refusals import (
    GivenAnswer,
    RequestRefusal,
    body_too_long,
    payload_refused,
    too_many_requests,
    wrong_method,
)
from proxy.downstream.requests.request import Request
from proxy.downstream.service.service import HttpService
from proxy.downstream.service.slow_work import WorkCrowdedOut
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod, has_content, reason_phrase
from proxy.limits.fair_queue import NoRoom
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.request_rates import ClientRates
from proxy.payload.endpoints import SlowAnswer
from proxy.payload.keys.suites import MessageUnreadable
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.upstream.servers.upstream import Upstream

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


class _LocalState(Enum):
    NEW = auto()
    STARTED = auto()  # the rest of the request comes, or a slow computation
    ANSWERED = auto()
    ABANDONED = auto()


class LocalResponder(Responder):
    """Answers one request by an endpoint, once all of its body is received, in one piece."""

    def __init__(
        self,
        client: Client,
        writer: AnswerWriter,
        service: HttpService,
        request: Request,
        request_id: bytes,
        endpoint: Endpoint,
    ) -> None:
        super().__init__(request, RequestTally(request_id, service.stopwatch()), endpoint.mark)
        self._client = client
        self._writer = writer
        self._service = service
        self._endpoint = endpoint
        framing = request.framing
        limits = service.runtime.limits.bodies
        ends_itself = request.head.major_version == 1
        self._body = RequestBody(framing, framing, limits, service.clock, ends_itself=ends_itself)
        self._data = bytearray()
        self._state = _LocalState.NEW

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Bound the body. Returns the refusal if its declared length is over the limit."""
        return None if self._body.bound(limit) else body_too_long(limit)

    def receive(self, data: bytes) -> bytes:
        if self._state is _LocalState.ANSWERED or self._state is _LocalState.ABANDONED:
            return b""  # what still comes of it means nothing
        body, excess = self._body.receive_data(data)
        self.is_request_complete = self._body.is_complete
        self.tally.request_bytes = self._body.received
        if self._endpoint.takes_body:
            self._data += body
        return excess

    def end_request(self) -> None:
        self._body.end()
        self.is_request_complete = True

    def start(self, fields: bytes, grant: Grant | None = None, upstream: Upstream | None = None) -> None:
        """Answer as soon as the request is complete, or at once if no body needs to come.

        A client that waits to be asked to send its body gets its answer instead (RFC 9110 10.1.1).
        """
        del fields, grant, upstream
        self._state = _LocalState.STARTED
        if self.request.framing.expects_continue and not self.is_request_complete:
            if not self._endpoint.takes_body:
                self._answer()
                return
            self._writer.invite()
        self.proceed()

    def proceed(self) -> None:
        if self.is_request_complete and self._state is _LocalState.STARTED:
            self._answer()

    def abandon(self) -> None:
        """The client waits no more: it has left, or was refused."""
        super().abandon()
        self._state = _LocalState.ABANDONED

    def _answer(self) -> None:
        head = self.request.head
        framing = self.request.framing
        asked = LocalRequest(head.method, framing.host, framing.target, head.headers, bytes(self._data))
        try:
            answer = self._endpoint.answer(asked, self._service.wall_clock())
        except PayloadFault as fault:
            self._client.refuse(payload_refused(fault.cause))
        except WrongMethod as error:
            self._client.refuse(wrong_method(error.allowed))
        except WrongToken as wrong:  # another name than above: mypyc gives a name one type
            shown = GivenAnswer(b"Forbidden", FORM_FIELDS, WRONG_FORM, frozenset())
            self._client.refuse(wrong_token(wrong.rule, self.request, self.holder, self._service, shown))
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
            wait = ClientRates(self.holder).take(slow.rate, service.shared, service.clock())
        if wait:
            self._client.refuse(too_many_requests(wait))
            return
        outcome = partial(self._computed, slow)
        match service.slow_work.begin(
            self.holder, lambda: self._state is not _LocalState.ABANDONED, slow.secret, outcome
        ):
            case NoRoom.SHARE:
                self._client.refuse(too_many_requests(_QUEUE_SECONDS))
            case NoRoom.FULL:
                self._client.refuse(_CROWDED)
            case None:
                pass

    def _computed(self, slow: SlowAnswer, secret: bytes | None, error: Exception | None) -> None:
        if self._state is _LocalState.ABANDONED:  # the client has left
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
                raise error  # an internal error, for the log

    def _send(self, answer: LocalAnswer) -> None:
        tally = self.tally
        head = self.request.head
        framing = self.request.framing
        if framing.websocket is not None and head.major_version != 1 and answer.status in _SUCCESSES:
            # RFC 8441 section 5: it would open a WebSocket
            self._client.refuse(wrong_method(b"GET, HEAD"))
            return
        self._state = _LocalState.ANSWERED  # first: to write may block the client, and then its body still comes
        tally.status = answer.status
        tally.first_byte = self._service.stopwatch()
        # what a WebSocket client sends ahead must not become the next request
        stays = self.request.may_be_followed and self.is_request_complete and self._client.may_stay
        length = b"Content-Length: %d\r\n" % len(answer.body) if has_content(answer.status) else b""
        body = b"" if head.method == b"HEAD" else answer.body
        tally.response_bytes = len(body)
        own = b"Date: %b\r\nX-Request-Id: %b\r\n" % (self._service.stamps.date(), tally.request_id)
        fields = answer_fields(self.target, answer.fields, self.request, tally.request_id)
        lines = b"".join((fields, length, own))
        self._writer.answer(OwnAnswer(answer.status, reason_phrase(answer.status), lines, body), stays=stays)
        self._writer.complete()
