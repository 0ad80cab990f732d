"""The question to an authorization server whether one request may continue.

Theory of operation. The server of another upstream gets a GET with the fields of the request (see
`auth.subrequest`). With a 2xx the request continues, and fields of the answer that the
configuration names replace the client's. Every other answer goes to the client, for example a
redirect to a login page. If there is no answer in time, or no complete one, the request fails.
"""

from typing import TYPE_CHECKING, Final

from proxy.auth.grant import copied
from proxy.auth.rules import AuthRule
from proxy.auth.subrequest import subrequest
from proxy.downstream.pipeline.contracts import Client
from proxy.downstream.pipeline.guard import Guard
from proxy.downstream.pipeline.outgoing import Attempts
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.refusals import GivenAnswer, RequestRefusal
from proxy.downstream.requests.request import Request
from proxy.downstream.service.service import HttpService
from proxy.http.head import Header
from proxy.http.responses import Response
from proxy.http.via import via
from proxy.limits.reasons import RequestReason
from proxy.net.byte_stream import ByteStream
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault

if TYPE_CHECKING:
    from asyncio import TimerHandle

_METHOD: Final = b"GET"
_NOT_MODIFIED: Final = 304
_SERVER_ERROR: Final = 500
MOST_BODY_BYTES: Final = 65_536
"""Of an answer that goes to the client: a page, which is kept until it is complete."""


class AuthRequest(Guard):
    """Asks about one request. A `Borrower` and a `ResponseReceiver`."""

    def __init__(self, rule: AuthRule, responder: Responder, client: Client, service: HttpService) -> None:
        super().__init__(responder, client, service)
        self._rule: Final = rule
        request = self._request
        self.holder: Final = responder.holder
        self.link: Final = responder.link
        self._head: Final = request.head.asking(_METHOD, request.head.target)
        question = Request(b"", 0, self._head, request.framing, request)
        self._attempts: Final = Attempts(service.runtime.upstreams[rule.upstream], question, service.wall_clock)
        of = request.client
        self._sent: Final = subrequest(
            request.head, request.framing, of.peer, of.chain, rule.path, responder.tally.request_id
        )
        self._connection: Carrier | None = None
        self._response: Response | None = None
        self._body = b""
        self._deadline: TimerHandle | None = None
        self.is_waiting = False

    def begin(self) -> Guard:
        """Ask. The answer may come at once; then it is decided already."""
        self._deadline = self._service.loop.call_later(self._rule.seconds, self._late)
        self._acquire()
        return self

    def abandon(self) -> None:
        self._end()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.abandon()

    def _end(self) -> None:
        self.is_over = True
        self.is_waiting = False
        if self._deadline is not None:
            self._deadline.cancel()

    def _late(self) -> None:
        self._fail(UpstreamFailure(UpstreamFault.FIRST_BYTE_TIMEOUT, f"no answer within {self._rule.seconds:g} s"))

    def _acquire(self, failure: UpstreamFailure | None = None) -> None:
        server = self._attempts.next_server()
        if server is None:
            self._fail(failure)
            return
        self.is_waiting = True
        server.acquire(self)

    def _fail(self, failure: UpstreamFailure | None) -> None:
        """Refuse the request: without a verdict nothing passes."""
        self.abandon()
        refusal = self._attempts.refusal(failure)
        reason = f"{RequestReason.AUTH_FAILED}: {refusal.reason}"
        detail = "the authorization server gave no answer"
        self.decide(RequestRefusal(refusal.status, detail, reason, retry_after=refusal.retry_after))

    # -- the pool's side

    def upstream_acquired(self, connection: Carrier) -> None:
        self._connection = connection
        self.is_waiting = False
        connection.is_request_complete = True
        connection.begin(self, self._head, None, self._sent)

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Try the next server."""
        self.is_waiting = False
        if (last_word := self._attempts.last_word(failure)) is None:
            self._acquire(failure)
        else:
            self._fail(last_word)

    # -- the upstream connection's side

    def never_index(self, names: frozenset[bytes]) -> None:
        """Ignored: the secrets of a login page are in fields that are never indexed anyway."""

    def informational(self, response: Response) -> None:
        """Ignored: the verdict follows."""

    def switched(self, response: Response, stream: ByteStream, rest: bytes) -> None:
        """The connection does not take a 101 that was not asked for."""
        raise NotImplementedError

    def response_started(self, response: Response) -> None:
        """Remember the verdict; it counts once the answer is complete."""
        self._response = response
        if response.framing.head.status >= _SERVER_ERROR:
            self._attempts.server.answered_badly()

    def response_data(self, data: bytes | memoryview) -> None:
        """Keep a piece of the page for the client."""
        self._body += data

    def response_flushed(self) -> None:
        """Give up an answer that is too long."""
        if self._is_too_long:
            self._fail_by_length()

    @property
    def _is_too_long(self) -> bool:
        return len(self._body) > MOST_BODY_BYTES

    def _fail_by_length(self) -> None:
        self._fail(UpstreamFailure(UpstreamFault.MALFORMED, f"its answer is longer than {MOST_BODY_BYTES} bytes"))

    def response_ended(self, trailers: list[Header]) -> None:
        del trailers
        self._connection = None
        response = self._response
        assert response is not None  # it has started
        if self._is_too_long:
            self._fail_by_length()
            return
        status = response.framing.head.status
        if status == _NOT_MODIFIED:  # RFC 9110 section 15.4.5; the client would take it for the resource
            self._fail(UpstreamFailure(UpstreamFault.MALFORMED, "304 to a question without a condition"))
            return
        self._end()
        if status // 100 == 2:
            self.decide(copied(response.fields, self._rule.copied))
        else:
            self.decide(_denial(response, self._body))

    def upstream_failed(self, failure: UpstreamFailure, *, is_excused: bool) -> None:
        """Ask once more if the connection was lost without an answer, else fail."""
        self._connection = None
        if not is_excused:
            self._attempts.server.failed_a_request()
        if self._attempts.may_repeat(self._sent, failure, is_excused=is_excused):
            self._acquire(failure)
        else:
            self._fail(failure)

    def pause_writing(self) -> None:
        """Ignored: the question is sent whole."""

    def resume_writing(self) -> None: ...


def _denial(response: Response, body: bytes) -> RequestRefusal:
    """The answer of the authorization server, for the client."""
    head = response.framing.head
    lines = b"%bVia: %b\r\n" % (response.lines, via(head))
    given = GivenAnswer(head.reason, lines, body, frozenset(response.noted))
    return RequestRefusal(
        head.status, "", f"{RequestReason.AUTH}: the authorization server said {head.status}", given=given
    )
