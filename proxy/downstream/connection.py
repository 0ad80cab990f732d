"""One client connection after its handshake: reads heads, answers them in order, ends cleanly.

One exchange runs at a time. What a client pipelines behind it waits in a bounded buffer, beyond which reading stops.
"""

from enum import Enum, auto
from typing import Final

from proxy.downstream.choosing import responder_for
from proxy.downstream.client import ClientFacts
from proxy.downstream.contracts import ClientStream, Responder
from proxy.downstream.inbox import Inbox
from proxy.downstream.patience import ClientDeadlines, for_last_request
from proxy.downstream.refusals import (
    RequestRefusal,
    bad_head,
    body_refused,
    late_head,
    refusal_response,
    too_many_requests,
)
from proxy.downstream.request_log import RequestLog
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.downstream.standing import NoLongerWelcome, standing
from proxy.downstream.switched import SwitchedStream
from proxy.downstream.upgraded import Upgraded
from proxy.http.framing import Persistence
from proxy.http.head import MalformedMessage
from proxy.http.headers import ForwardedPeer, trusted_request_id
from proxy.limits.idleness import Idle
from proxy.net.deadlines import NEVER

_CLIENT_CLOSED_REQUEST: Final = 499


class _ConnectionState(Enum):
    IDLE = auto()
    """Between requests; nothing of the next one came."""
    HEAD = auto()  # a part of one came
    EXCHANGE = auto()
    TUNNEL = auto()
    ENDING = auto()


class Downstream:
    """Owner of a client's `TlsStream`. Watched: `deadline` is that of whatever the client owes us now."""

    __slots__ = (
        "_exchange",
        "_facts",
        "_inbox",
        "_is_new",
        "_is_reading",
        "_is_write_paused",
        "_log",
        "_patience",
        "_peer_ended",
        "_persistence",
        "_request",
        "_service",
        "_state",
        "_stream",
        "_wants_end",
        "deadline",
        "has_room",
        "send",
    )

    def __init__(self, service: HttpService, stream: ClientStream, facts: ClientFacts) -> None:
        """Take over an established stream, which is reading already."""
        self._service = service
        self._stream = stream
        self.send: Final = stream.write
        """Send response bytes."""
        self._facts = facts
        self._log = RequestLog(service, facts)
        self._patience = ClientDeadlines(service, stream)
        self.has_room: Final = self._patience.has_room
        """Whether the server may go on while the client is blocked."""
        self._persistence: Persistence | None = None  # of an answer that is complete, but not yet taken
        self._state = _ConnectionState.IDLE
        self._inbox = Inbox()
        self._is_new = True
        self._exchange: Responder | None = None
        self._request: Request | None = None
        self._is_reading = True
        self._is_write_paused = self._peer_ended = self._wants_end = False
        self.deadline = service.clock() + service.runtime.limits.keep_alive_seconds
        service.deadlines.watch(self)
        service.opened(self)

    # -- the stream's side

    def data_received(self, data: bytes) -> None:
        """Take decrypted bytes."""
        match self._state:
            case _ConnectionState.IDLE | _ConnectionState.HEAD:
                if self._is_write_paused:
                    self._hold(data)
                    return
                self._inbox.receive_data(data)
                self._next_head()
            case _ConnectionState.EXCHANGE:
                if (exchange := self._exchange) is not None and not exchange.is_request_complete:
                    self._feed_body(exchange, data)
                else:
                    self._hold(data)
            case _ConnectionState.TUNNEL | _ConnectionState.ENDING:
                pass  # a tunnel owns the stream by then; at the end nobody listens

    def eof_received(self) -> None:
        """The client sends no more: an answer under way is still delivered (RFC 9112 section 9.6)."""
        self._peer_ended = True
        match self._state:
            case _ConnectionState.IDLE if self._inbox.data:
                self._service.loop.call_soon(self._continue)  # requests that were pipelined are still answered
            case _ConnectionState.IDLE | _ConnectionState.HEAD:
                self._end()
            case _ConnectionState.EXCHANGE:
                if self._persistence is None and self._exchange is not None and not self._exchange.is_request_complete:
                    self._abandon("the client ended the connection in the middle of its request")
                    self._stream.cut()
            case _ConnectionState.TUNNEL | _ConnectionState.ENDING:
                pass

    def connection_lost(self, error: OSError | None) -> None:
        """The connection is gone."""
        self._log.lost(error)
        self._abandon("the client closed the connection" if error is None else f"the connection was lost: {error}")
        self._forget()

    def pause_writing(self) -> None:
        """The client takes no more of the response; the next sweep of the deadlines looks how it goes on."""
        self._is_write_paused = True
        self.deadline = self._service.clock()
        if self._exchange is not None:
            self._exchange.pause_response()

    def resume_writing(self) -> None:
        """The client took everything."""
        self._is_write_paused = False
        self._patience.reader_took_all()
        if self._persistence is not None:
            self.finished(self._persistence)
        elif self._exchange is not None:
            self._await_body()
            self._exchange.resume_response()
        elif self._state is _ConnectionState.IDLE or self._state is _ConnectionState.HEAD:
            self._await_request()

    # -- heads

    def _next_head(self) -> None:
        limits = self._service.runtime.limits
        try:
            request = self._inbox.next_request(limits.head_bytes, limits.head)
        except MalformedMessage as error:
            self._refuse_head(error)
            return
        if request is not None:
            self._begin(request)
        elif self._peer_ended:
            self._end()
        else:
            self._resume_reading()
            if self._state is _ConnectionState.IDLE and self._inbox.holds_a_beginning:
                self._state = _ConnectionState.HEAD
                self.deadline = self._service.clock() + limits.head_seconds

    def _begin(self, request: Request) -> None:
        service = self._service
        self._state = _ConnectionState.EXCHANGE
        self._is_new = False
        self.deadline = NEVER
        self._request = request
        facts, peer = self._facts, self._facts.peer
        if facts.is_unreported:
            facts.report(request.head, service.counters.breaking)
        request_id = (facts.is_trusted and trusted_request_id(request.framing.fields, peer)) or service.new_request_id()
        admitted = request.admitted(facts.tls, service.runtime.routes)
        exchange = self._exchange = responder_for(admitted, self, service, request, request_id)
        if isinstance(admitted, RequestRefusal):
            self.refuse(admitted)
            return
        exchange.tally.route = admitted.label
        exchange.holder = facts.counts_as(request.framing.fields)
        if (refusal := exchange.refused_by(admitted.body_bytes)) is not None:
            self.refuse(refusal)
            return
        if self._inbox.data and not exchange.is_request_complete and not self._feed_body(exchange, self._inbox.take()):
            return
        if admitted.rate is not None and (wait := facts.wait(admitted.rate, service.shared, service.clock())):
            self.refuse(too_many_requests(wait))
            return
        exchange.start(admitted, request.upstream_fields(peer))
        if not exchange.is_request_complete:
            self._await_body()

    def _refuse_head(self, error: MalformedMessage) -> None:
        """Answer what cannot be understood, and trust nothing behind it."""
        self._state = _ConnectionState.EXCHANGE
        self._wants_end = True
        self.refuse(bad_head(error, self._inbox.take()))

    # -- bodies

    def _feed_body(self, exchange: Responder, data: bytes) -> bool:
        """Hand body bytes on. False when the request turned out to be malformed and was answered."""
        try:
            excess = exchange.receive(data)
        except MalformedMessage as error:
            self._wants_end = True
            refusal = body_refused(error)
            if exchange.has_responded:
                self.cut(refusal.reason)
            else:
                self.refuse(refusal)
            return False
        if excess:
            self._hold(excess)
        self._await_body(len(data))
        exchange.proceed()  # last: what it needs may be here now, and what comes of it may end it
        return True

    def _await_body(self, received: int = 0) -> None:
        """Give the client its time for the next piece of a body, or none when it owes nothing.

        What it sent buys the time that this takes at the least rate: a client that drips uses its time up all the same.
        """
        exchange = self._exchange
        if self._is_write_paused:
            return
        if (
            exchange is not None
            and not exchange.is_request_complete
            and not exchange.holds_client_back
            and self._is_reading
        ):
            self.deadline = self._patience.for_body(self.deadline, received)
        else:
            self.deadline = NEVER

    def _hold(self, data: bytes) -> None:
        """Keep what was pipelined for later; a client that sends too much of it waits in the kernel."""
        self._inbox.receive_data(data)
        if len(self._inbox.data) > self._service.runtime.limits.pipelined_bytes:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._stream.pause_reading()

    def _resume_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._stream.resume_reading()

    # -- the exchange's side

    @property
    def peer(self) -> ForwardedPeer:
        """Who is at the other end of the connection."""
        return self._facts.peer

    @property
    def may_stay(self) -> bool:
        """Whether another request may follow: of a client that sends no more, one that it has pipelined."""
        return not (self._wants_end or self._service.is_draining or (self._peer_ended and not self._inbox.data))

    def pause_request(self) -> None:
        """Take no more of the body for now."""
        self._pause_reading()
        self._await_body()

    def resume_request(self) -> None:
        """Take the body again."""
        self._resume_reading()
        self._await_body()

    def refuse(self, refusal: RequestRefusal) -> None:
        """Answer with an error of our own; the connection stays only if the request was understood to its end."""
        exchange, request = self._exchange, self._request
        is_complete = exchange is not None and exchange.is_request_complete
        stays = self.may_stay and is_complete and request is not None and request.may_be_followed
        head = None if request is None else request.head
        request_id = self._service.new_request_id() if exchange is None else exchange.tally.request_id
        mark = b"" if exchange is None else exchange.mark
        answer = refusal_response(
            refusal, head, stays=stays, date=self._service.date(), request_id=request_id, mark=mark
        )
        if exchange is not None:
            exchange.abandon()
            exchange.tally.response_bytes = answer.body_bytes
        self._stream.write(answer.data)
        self._log.refused(request, None if exchange is None else exchange.tally, refusal, request_id, answer.body_bytes)
        self._close_exchange(stays=stays)

    def finished(self, persistence: Persistence) -> None:
        """The response is complete; the request is over when the client has taken it."""
        exchange = self._exchange
        assert exchange is not None  # its caller
        if self._is_write_paused:
            self._persistence = persistence
            return
        self._persistence = None
        self._log.request(self._request, exchange.tally, exchange.tally.status, None)
        self._close_exchange(stays=persistence is not Persistence.CLOSE)

    def cut(self, reason: str) -> None:
        """End the response so that its client sees that it is not complete."""
        assert self._exchange is not None  # its caller
        self._abandon(reason, self._exchange.tally.status)
        self._stream.cut()

    def tunnel(self, switched: SwitchedStream) -> None:
        """Hand both streams to a tunnel, with what either side sent ahead."""
        self._state = _ConnectionState.TUNNEL
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # its caller
        assert self._request is not None  # the exchange's
        if self._is_write_paused:
            switched.stream.pause_reading()  # the tunnel resumes it once the client takes more; of what was before, it does not know
        tunnel = Upgraded(self._service, self._facts, self._request, exchange.tally).tunnel(self._stream, switched)
        self._resume_reading()  # first: the tunnel may pause it at once
        counters = self._service.counters.route(exchange.tally.route)
        tunnel.begin(counters, from_client=self._inbox.take(), from_upstream=switched.rest)
        self._forget()  # last: a drain must not find that nobody is left in between

    # -- ends

    def _close_exchange(self, *, stays: bool) -> None:
        self._exchange = self._request = None
        # the second: the client may have ended, or we may have begun to drain, after it was told that it may stay
        if not (stays and self.may_stay):
            self._end()
            return
        self._state = _ConnectionState.IDLE
        if not self._is_write_paused:
            self._await_request()

    def _await_request(self) -> None:
        """Wait for the next request, or go on with what was pipelined, in a turn of its own so that others have theirs."""
        self._state = _ConnectionState.IDLE
        limits = self._service.runtime.limits
        self.deadline = self._service.clock() + limits.keep_alive_seconds
        if len(self._inbox.data) <= limits.pipelined_bytes:
            self._resume_reading()
        if self._inbox.data:
            self._service.loop.call_soon(self._continue)

    def _continue(self) -> None:
        """Read the next head, but not for a client that has not yet taken its last answer: they would pile up."""
        if self._state is _ConnectionState.IDLE and self._inbox.data and not self._is_write_paused:
            self._next_head()

    def _abandon(self, reason: str, status: int = _CLIENT_CLOSED_REQUEST) -> None:
        """The client will get no answer: stop its exchange, if there is one."""
        exchange, self._exchange = self._exchange, None
        self._state, self.deadline = _ConnectionState.ENDING, NEVER
        if exchange is not None:
            exchange.abandon()
            self._log.request(self._request, exchange.tally, status, reason)

    def _end(self) -> None:
        self._state = _ConnectionState.ENDING
        self.deadline = NEVER
        self._inbox.take()
        self._resume_reading()
        self._stream.end()

    def _forget(self) -> None:
        self._patience.reader_took_all()
        self._service.deadlines.forget(self)
        self._service.closed(self)

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """End after the exchange under way; when idle, now, but for a new one and gently, after one more exchange if it comes in time.

        The client of a new one has done all of a handshake to ask something, and would take an end before that for a failure.
        """
        self._wants_end = True
        if self._state is _ConnectionState.IDLE and (gently or self._is_new):
            self.deadline = min(self.deadline, self._service.clock() + for_last_request(seconds, gently=gently))
        elif self._state is _ConnectionState.IDLE:
            self._end()

    def configuration_changed(self, seconds: float) -> None:
        """Go on, unless a client that came now would not get this connection; its request under way is still answered."""
        try:
            self._facts.tls = standing(self._facts.tls, self._facts.listener, self._service.runtime.policies)
        except NoLongerWelcome:
            self._is_new = False  # nothing more is asked on it
            self.drain(seconds)

    def give_up(self, reason: str) -> None:
        """End now, whatever is under way, so that the client sees that it is cut."""
        self._abandon(reason)
        self._stream.cut()

    @property
    def idle(self) -> Idle | None:
        """What a connection is that waits for a request, or for the rest of one of which no server knows; None for others."""
        limits, exchange = self._service.runtime.limits, self._exchange
        if exchange is not None and exchange.tally.server is None and not exchange.is_request_complete:
            since = self.deadline - limits.body_idle_seconds  # it pays for being slow: that was long ago then
        elif self._state is _ConnectionState.HEAD:
            since = self.deadline - limits.head_seconds
        elif self._state is _ConnectionState.IDLE and not self._inbox.data:
            since = self.deadline - limits.keep_alive_seconds
        else:
            return None
        return None if self._is_write_paused else self._facts.idle(since)

    def shed(self) -> None:
        """End a connection that is `idle` at once, so that others can be served."""
        self._abandon("the connection made room for others before the request was complete")
        self._stream.end_at_once()

    def deadline_passed(self, now: float) -> None:
        """The client owed us something and did not deliver."""
        if self._is_write_paused:
            self.deadline = self._patience.for_reader(now)
            if self.deadline <= now:
                self._abandon(self._patience.reader_reason)
                self._stream.abort()
            return
        self.deadline = NEVER
        if self._state is _ConnectionState.IDLE:
            self._end()
        elif self._state is _ConnectionState.HEAD:
            self._wants_end = True
            self._state = _ConnectionState.EXCHANGE
            self.refuse(late_head(self._inbox.take()))
        elif self._exchange is not None:
            self._wants_end = True
            reason = self._patience.body_reason
            if self._exchange.has_responded:
                self.cut(f"{reason}: the request body did not arrive in time")
            else:
                self.refuse(RequestRefusal(408, "the request body did not arrive in time", reason))
