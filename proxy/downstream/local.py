"""An exchange that the proxy answers itself: no upstream has a part in it."""

from functools import partial

from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client
from proxy.downstream.exchange import Exchange
from proxy.downstream.refusals import RequestRefusal, payload_refused, too_many_requests
from proxy.downstream.request_body import CONTINUE
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.downstream.slow_work import WorkCrowdedOut
from proxy.http.framing import Persistence
from proxy.limits.fair_queue import NoRoom
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import RequestReason
from proxy.limits.requests import ClientRates
from proxy.payload.causes import Cause, PayloadFault
from proxy.payload.endpoints import FOR_EVERY_ORIGIN, Endpoint, LocalAnswer, SlowAnswer, WrongMethod
from proxy.payload.suites import MessageUnreadable

# What is in the queue of slow computations takes half of that.
_QUEUE_SECONDS = 1.0
# Neither is the fault of the client.
_CROWDED = RequestRefusal(
    503,
    "too many sessions are being agreed on: try again in a second",
    f"{RequestReason.PAYLOAD}: too many sessions wait",
)
_FAILED = RequestRefusal(500, "the session could not be made", f"{RequestReason.PAYLOAD}: a session could not be made")
_REASONS = {200: b"OK", 204: b"No Content"}


class LocalExchange(Exchange):
    """One request under way: its body is kept until it is complete."""

    __slots__ = ("_answers", "_data", "_is_abandoned", "_is_started")

    mark = FOR_EVERY_ORIGIN

    def __init__(
        self, client: Client, service: HttpService, request: Request, request_id: bytes, answers: Endpoint
    ) -> None:
        """A request whose head was read."""
        super().__init__(client, service, request.head, request.framing, request_id)
        self._answers = answers
        self._data = bytearray()
        self._is_started = False
        self._is_abandoned = False

    def start(self, target: RouteTarget, fields: bytes) -> None:
        """Answer as soon as the request is complete."""
        del target, fields
        self._is_started = True
        if self._framing.expects_continue and not self.is_request_complete:
            self._said_continue = True
            self._client.send(CONTINUE)
        self.proceed()

    def proceed(self) -> None:
        """Answer what is complete."""
        if self.is_request_complete and self._is_started:
            self._answer()

    @property
    def holds_client_back(self) -> bool:
        """It was told to continue."""
        return False

    def abandon(self) -> None:
        """The client waits no more: it has left, or was refused."""
        self._is_abandoned = True
        super().abandon()

    def _take(self, body: bytes) -> None:
        self._data += body

    def _answer(self) -> None:
        try:
            answer = self._answers(self._head.method, bytes(self._data), self._service.wall_clock())
        except PayloadFault as fault:
            self._client.refuse(payload_refused(fault.cause))
        except WrongMethod as error:
            allowed = error.allowed.decode()
            self._client.refuse(
                RequestRefusal(405, f"this is answered to {allowed}", RequestReason.PAYLOAD, allow=error.allowed)
            )
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
        self.status = answer.status
        self.first_byte = self._service.stopwatch()
        # what a WebSocket client sends ahead must not become the next request
        stays = self._framing.keep_alive and self._framing.websocket is None and self._client.may_stay
        persistence = Persistence.CLOSE
        if stays:
            persistence = Persistence.IMPLICIT if self._head.minor_version else Persistence.KEEP_ALIVE
        length = b"" if answer.status == 204 else b"Content-Length: %d\r\n" % len(answer.body)
        body = b"" if self._head.method == b"HEAD" else answer.body
        self.response_bytes = len(body)
        self._client.send(
            b"".join(
                (
                    b"HTTP/1.1 %d %b\r\n" % (answer.status, _REASONS[answer.status]),
                    answer.fields,
                    length,
                    b"Date: %b\r\nX-Request-Id: %b\r\n" % (self._service.date(), self.request_id),
                    _CONNECTION[persistence],
                    b"\r\n",
                    body,
                )
            )
        )
        self._client.finished(persistence)


_CONNECTION = {
    Persistence.IMPLICIT: b"",
    Persistence.KEEP_ALIVE: b"Connection: keep-alive\r\n",
    Persistence.CLOSE: b"Connection: close\r\n",
}
