"""One client connection after its handshake: reads heads, answers them in order, ends cleanly.

One exchange runs at a time. Pipelined requests wait in a bounded buffer.
"""

from enum import Enum, auto
from typing import Final

from proxy.downstream.http1.inbox import Inbox
from proxy.downstream.http1.writer import Http1Writer
from proxy.downstream.pipeline.contracts import ClientStream, SwitchedStream, TunnelServer
from proxy.downstream.pipeline.own_answers import refuse
from proxy.downstream.pipeline.pipeline import admit, answer
from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal, bad_head, body_refused, late_body, late_head
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.requests.tunnel_places import TunnelPlace
from proxy.downstream.service.client_deadlines import ClientDeadlines, for_last_request
from proxy.downstream.service.service import HttpService
from proxy.downstream.tunnels.upgraded import Upgraded, place_for
from proxy.http.delivery import Persistence
from proxy.http.head import MalformedMessage
from proxy.limits.idleness import Idle
from proxy.limits.reasons import CLIENT_CLOSED_REQUEST
from proxy.net.byte_stream import StreamOwner
from proxy.net.deadlines import NEVER


class _ConnectionState(Enum):
    IDLE = auto()  # between requests; nothing of the next one was received
    HEAD = auto()  # a part of one was received
    EXCHANGE = auto()
    TUNNEL = auto()
    ENDING = auto()


class Http1Connection(StreamOwner[bytes]):
    """Owner of a client's `TlsStream`. Its `deadline` is that of what the client owes."""

    def __init__(self, service: HttpService, stream: ClientStream, facts: ClientFacts) -> None:
        """Take over an established stream, which is reading already."""
        self._service = service
        self.stream = stream
        self.facts = facts
        self.send: Final = stream.write  # bound once, as each response is sent by it
        self._log = RequestLog(service, facts)
        self._patience = ClientDeadlines(service, stream)
        self.has_room: Final = self._patience.has_room
        self.hold: Final = self._patience.hold
        self._persistence: Persistence | None = None  # of a complete answer that the client has not taken yet
        self._state = _ConnectionState.IDLE
        self._is_new = True  # its first request is still to come
        self._inbox = Inbox(stream)
        self._exchange: Responder | None = None
        self._is_write_paused = False
        self._peer_ended = False
        self._wants_end = False  # after the request in flight
        self.deadline = service.clock() + service.runtime.limits.keep_alive_seconds
        service.deadlines.watch(self)
        service.connections.opened(self)

    # -- the stream's side

    def data_received(self, data: bytes) -> None:
        match self._state:
            case _ConnectionState.IDLE | _ConnectionState.HEAD if not self._is_write_paused:
                self._inbox.receive_data(data)
                self._next_head()
            case _ConnectionState.EXCHANGE if (exchange := self._exchange) and not exchange.is_request_complete:
                self._feed_body(exchange, data)
            case _ConnectionState.IDLE | _ConnectionState.HEAD | _ConnectionState.EXCHANGE:
                self._inbox.hold(data, self._service.runtime.limits.pipelined_bytes)
            case _:
                pass  # a tunnel owns the stream by then; what comes at the end means nothing

    def eof_received(self) -> None:
        """The client sends no more. An answer in progress still goes to it (RFC 9112 9.6)."""
        self._peer_ended = True
        one = self._exchange
        match self._state:
            case _ConnectionState.IDLE if self._inbox.data:
                self._service.loop.call_soon(self._continue)  # requests that were pipelined are still answered
            case _ConnectionState.IDLE | _ConnectionState.HEAD:
                self._end()
            case _ConnectionState.EXCHANGE if self._persistence is None and one and not one.is_request_complete:
                self._abandon("the client ended the connection in the middle of its request")
                self.stream.cut()

    def connection_lost(self, error: OSError | None) -> None:
        self._log.lost(error)
        self._abandon("the client closed the connection" if error is None else f"the connection was lost: {error}")
        self._forget()

    def pause_writing(self) -> None:
        """The client takes no more of the response. Sweeps of the deadlines measure its pace."""
        self._is_write_paused = True
        self.deadline = self._service.clock()
        if self._exchange is not None:
            self._exchange.pause_response()

    def resume_writing(self) -> None:
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
            self._refuse_head(bad_head(error, self._inbox.take()))
            return
        if request is not None:
            self._begin(request)
        elif self._peer_ended:
            self._end()
        else:
            self._inbox.resume()
            if self._state is _ConnectionState.IDLE and self._inbox.holds_a_beginning:
                self._state = _ConnectionState.HEAD
                self.deadline = self._service.clock() + limits.head_seconds

    def _begin(self, request: Request) -> None:
        service = self._service
        facts = self.facts
        self._state = _ConnectionState.EXCHANGE
        self._is_new = False
        self.deadline = NEVER
        writer = Http1Writer(self, service.stamps, request, facts.alternative)
        exchange = self._exchange = admit(request, self, writer, service, facts)
        if exchange.refusal is not None:
            self.refuse(exchange.refusal)
            return
        if self._inbox.data and not exchange.is_request_complete and not self._feed_body(exchange, self._inbox.take()):
            return
        answer(exchange, self, service)
        if not exchange.is_request_complete:
            self._await_body()

    def _refuse_head(self, refusal: RequestRefusal) -> None:
        """Answer a head that is late or not understood, and trust no byte behind it."""
        self._state = _ConnectionState.EXCHANGE
        self._wants_end = True
        self.refuse(refusal)

    # -- bodies

    def _feed_body(self, exchange: Responder, data: bytes) -> bool:
        """Hand body bytes on. False if the request was malformed and is answered."""
        try:
            excess = exchange.receive(data)
        except MalformedMessage as error:
            refusal = body_refused(error)
            self._fail(exchange, refusal, refusal.reason)
            return False
        self.stream.reads_on = self.stream.reads_on and not exchange.is_request_complete
        if excess:
            self._inbox.hold(excess, self._service.runtime.limits.pipelined_bytes)
        self._await_body(len(data))
        exchange.proceed()  # last: it may end the exchange
        return True

    def _fail(self, exchange: Responder, refusal: RequestRefusal, reason: str) -> None:
        """Answer a body that is late or not understood, or cut the response for `reason`."""
        self._wants_end = True
        if exchange.has_responded:
            self.cut(reason)
        else:
            self.refuse(refusal)

    def _await_body(self, received: int = 0) -> None:
        """Give the client time for the next piece of a body, or no deadline if it owes none."""
        if not self._is_write_paused:
            one = self._exchange
            owes = one is not None and not one.is_request_complete and not one.holds_client_back
            is_due = owes and self._inbox.is_reading
            self.deadline = self._patience.for_body(self.deadline, received) if is_due else NEVER

    # -- the exchange's side

    @property
    def may_stay(self) -> bool:
        """Whether another request may follow. A client that ended may have pipelined one."""
        return not (
            self._wants_end or self._service.connections.is_draining or (self._peer_ended and not self._inbox.data)
        )

    def pause_request(self) -> None:
        """Take no more of the body for now."""
        self._inbox.pause()
        self._await_body()

    def resume_request(self) -> None:
        """Take the body again, for a server: several records in a turn, as none is a request."""
        self.stream.reads_on = True
        self._inbox.resume()
        self._await_body()

    def body_taken(self) -> None:
        """Ignored: the kernel limits what a client sends ahead."""

    def refuse(self, refusal: RequestRefusal) -> None:
        """Answer with our error. The connection stays only after a complete, clear request."""
        exchange = self._exchange
        request = None if exchange is None else exchange.request
        writer = Http1Writer(self, self._service.stamps, request, self.facts.alternative)
        stays = refuse(refusal, exchange, writer, self._service, self._log, may_stay=self.may_stay)
        self._close_exchange(stays=stays)

    def finished(self, persistence: Persistence) -> None:
        """The response is complete; the request is over when the client has taken it."""
        exchange = self._exchange
        assert exchange is not None  # its caller
        self._persistence = persistence if self._is_write_paused else None
        if self._is_write_paused:
            return
        self._log.request(exchange.request, exchange.tally, exchange.tally.status, None)
        self._close_exchange(stays=persistence is not Persistence.CLOSE)

    def cut(self, reason: str) -> None:
        """End the response so that its client sees that it is not complete."""
        assert self._exchange is not None  # its caller
        self._abandon(reason, self._exchange.tally.status)
        self.stream.cut()

    def tunnel_place(self, server: TunnelServer) -> TunnelPlace | RequestRefusal:
        assert self._exchange is not None  # its caller
        return place_for(self._service, self.facts, self._exchange.request, server, is_stream=False)

    def reader_is_late(self, reason: str) -> None:
        """The client takes too little of its answer."""
        self._abandon(reason)
        self.stream.abort()

    def tunnel(self, switched: SwitchedStream) -> None:
        """Hand both streams to a tunnel, with the bytes that either side sent early."""
        self._state = _ConnectionState.TUNNEL
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # its caller
        if self._is_write_paused:
            switched.stream.pause_reading()  # the tunnel resumes it once the client takes more
        upgraded = Upgraded(self._service, self.facts, exchange.request, exchange.tally)
        self._inbox.resume()  # first: the tunnel may pause it at once
        upgraded.begin(self.stream, switched, self._inbox.take())
        self._forget()  # last: a drain must not find the process empty in between

    def _close_exchange(self, *, stays: bool) -> None:
        self._exchange = None
        # asked again: after the promise to stay, the client may have ended, or a drain begun
        if not (stays and self.may_stay):
            self._end()
            return
        self._state = _ConnectionState.IDLE
        if not self._is_write_paused:
            self._await_request()

    def _await_request(self) -> None:
        """Wait for a request, or take a pipelined one in the next turn, after other clients."""
        self._state = _ConnectionState.IDLE
        limits = self._service.runtime.limits
        self.deadline = self._service.clock() + limits.keep_alive_seconds
        if len(self._inbox.data) <= limits.pipelined_bytes:
            self._inbox.resume()
        if self._inbox.data:
            self._service.loop.call_soon(self._continue)

    def _continue(self) -> None:
        """Read the next head if the client took its last answer: else answers would pile up."""
        if self._state is _ConnectionState.IDLE and self._inbox.data and not self._is_write_paused:
            self._next_head()

    def _abandon(self, reason: str, status: int = CLIENT_CLOSED_REQUEST) -> None:
        """The client will get no answer: stop its exchange, if there is one."""
        exchange, self._exchange = self._exchange, None
        self._state = _ConnectionState.ENDING
        self.deadline = NEVER
        if exchange is not None:
            exchange.abandon()
            self._log.request(exchange.request, exchange.tally, status, reason)

    def _end(self) -> None:
        """Close after what was written, and read no further request."""
        self._state = _ConnectionState.ENDING
        self.deadline = NEVER
        self._inbox.take()
        self._inbox.resume()
        self.stream.end()

    def _forget(self) -> None:
        self.facts.left()
        self._patience.reader_took_all()
        self._service.deadlines.forget(self)
        self._service.connections.closed(self)

    # -- what the process asks of it: see `Sheddable`

    @property
    def _is_idle(self) -> bool:
        """Whether it waits for a request, and nothing of it was received."""
        return self._state is _ConnectionState.IDLE

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """End after the exchange in flight, or now if there is none.

        A new connection gets time for one more exchange: its client made a whole handshake to ask
        something, and would take an earlier end for a failure. If gently, each connection gets it.
        """
        self._wants_end = True
        if self._is_idle and (gently or self._is_new):
            last = self._service.clock() + for_last_request(seconds, gently=gently)
            self.deadline = min(self.deadline, last)
        elif self._is_idle:
            self._end()

    def configuration_changed(self, seconds: float) -> None:
        """Go on, or end behind the request in flight if the listener would refuse this client."""
        try:
            self.facts.stand(self._service.runtime.policies)
        except NoLongerWelcome:
            self._is_new = False  # nothing more is asked on it
            self.drain(seconds)

    def give_up(self, reason: str) -> None:
        """End now. If an exchange is in flight, the client sees that it is cut."""
        self._abandon(reason)
        self.stream.cut()

    @property
    def idle(self) -> Idle | None:
        since = self._waits_since
        return None if since is None else self.facts.idle(since, is_new=self._is_new)

    @property
    def _waits_since(self) -> float | None:
        """Since when the client owes a request, or the rest of it.

        None if it owes nothing, or if a server has the request already.
        """
        limits = self._service.runtime.limits
        one = self._exchange
        if self._is_write_paused:
            return None
        if one is not None and one.tally.server is None and not one.is_request_complete:
            return self.deadline - limits.body_idle_seconds  # a slow client counts as waiting for longer
        if self._state is _ConnectionState.HEAD:
            return self.deadline - limits.head_seconds
        return self.deadline - limits.keep_alive_seconds if self._is_idle and not self._inbox.data else None

    def shed(self) -> None:
        self._abandon("closed at a connection limit before the request was complete")
        self.stream.end_at_once()

    def deadline_passed(self, now: float) -> None:
        """The client did not deliver in time what it owed."""
        if self._is_write_paused:
            self.deadline = self._patience.for_reader(now)
            if self.deadline <= now:
                self.reader_is_late(self._patience.reader_reason)
            return
        self.deadline = NEVER
        if self._state is _ConnectionState.IDLE:
            self._end()
        elif self._state is _ConnectionState.HEAD:
            self._refuse_head(late_head(self._inbox.take()))
        elif self._exchange is not None:
            refusal = late_body(self._patience.body_reason)
            self._fail(self._exchange, refusal, f"{refusal.reason}: {refusal.detail}")
