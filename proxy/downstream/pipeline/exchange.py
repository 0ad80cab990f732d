"""One request and the response of a server to it, streamed both ways.

Theory of operation. The downstream connection feeds request bytes in (`receive`, then `proceed`).
The upstream connection feeds the response in (`response_*`). The body is gathered (see
`requests.body`) before a server is asked for a connection. From then on each side pauses while the
other is full: the client at once, the server without room for a slow client (`response_buffer`),
and then for a limited time (`unread_answers`).
A codec of payload encryption decrypts what `receive` takes, and encrypts what `response_*` gets.
"""

from enum import Enum, auto
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.auth.grant import Grant
from proxy.downstream.pipeline.contracts import BodyCodec, Client, SwitchedStream
from proxy.downstream.pipeline.outgoing import Attempts, OutgoingRequest
from proxy.downstream.pipeline.responder import RequestTally, Responder
from proxy.downstream.requests.answer_writer import AnswerWriter
from proxy.downstream.requests.body import RequestBody, is_repeatable
from proxy.downstream.requests.refusals import RequestRefusal, body_too_long, too_many_websockets
from proxy.downstream.requests.request import Request
from proxy.downstream.service.service import HttpService
from proxy.downstream.service.unread_answers import UnreadAnswer
from proxy.http.head import Header
from proxy.http.responses import Response
from proxy.net.byte_stream import ByteStream, StreamOwner
from proxy.payload.websocket import SealedMessages
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.failures import UpstreamFailure
from proxy.upstream.servers.upstream import Upstream

_CONTINUE: Final = 100
_SERVER_ERROR: Final = 500


class _ExchangeState(Enum):
    NEW = auto()
    GATHERING = auto()  # enough of the body
    WAITING = auto()  # for a connection to a server
    SENT = auto()  # the head; there is no final response yet
    RESPONDING = auto()
    SPOOLED = auto()  # the server has sent all; the client has not got all
    OVER = auto()


@mypyc_attr(free_list_len=1)
class Exchange(Responder):
    """One request in flight."""

    def __init__(
        self,
        client: Client,
        writer: AnswerWriter,
        service: HttpService,
        request: Request,
        request_id: bytes,
        codec: BodyCodec | None = None,
    ) -> None:
        """A request whose head was read. `refused_by` comes next, then `start`."""
        super().__init__(request, RequestTally(request_id, service.stopwatch()), b"" if codec is None else codec.mark)
        self._client = client
        self._writer = writer
        self._service = service
        self._codec = codec
        self._framing = request.framing if codec is None else codec.framing
        self._body: RequestBody | None = None
        if not self.is_request_complete:
            bodies = service.runtime.limits.bodies
            ends_itself = request.head.major_version == 1
            self._body = RequestBody(request.framing, self._framing, bodies, service.clock, ends_itself=ends_itself)
        self._connection: Carrier | None = None
        self._slow: UnreadAnswer | None = None
        self._state = _ExchangeState.NEW
        self._is_client_paused = False
        self._attempts: Attempts
        self._outgoing: OutgoingRequest

    def start(self, fields: bytes, grant: Grant | None = None, upstream: Upstream | None = None) -> None:
        """Ask a server once enough of the body is here; what was received is checked already."""
        target = self.target
        assert target is not None  # it has a route that leads to a server
        limit = None if self._framing.websocket is None else self._service.tunnel_places.refusal_of(self.holder)
        if limit is not None:
            self._state = _ExchangeState.OVER
            self._client.refuse(too_many_websockets(limit))
            return
        body = self._body
        asked = upstream or self._service.runtime.upstreams[target.upstream]
        self._attempts = Attempts(asked, self.request, self._service.wall_clock)
        is_coded = self._codec is not None and self._codec.is_coded
        if body is not None and body.begin(streams=target.streams_requests, is_coded=is_coded):
            self._writer.invite()
        self._outgoing = OutgoingRequest(self.request, target, fields, grant)
        self._state = _ExchangeState.GATHERING
        self.proceed()

    def proceed(self) -> None:
        """Write the head and ask for a server once enough of the body is here (at once without
        one), or go on with the body. It may end the exchange, so `receive` does not call it.
        """
        body = self._body
        if self._state is _ExchangeState.GATHERING and (body is None or body.is_enough):
            framing = self._framing
            codec = self._codec
            if codec is not None:
                if not codec.is_ready:
                    return
                framing = codec.framed(framing if body is None else body.framing)
            elif body is not None:
                framing = body.settled()
            if body is not None:
                body.framing = framing
            self._outgoing.write_head(framing, self.tally.request_id)
            self._state = _ExchangeState.WAITING
            self._acquire()
        if body is not None and self._state is _ExchangeState.WAITING and body.has_more:
            self._client.pause_request()

    def _acquire(self, failure: UpstreamFailure | None = None) -> None:
        """Ask the next server for a connection; without one, answer with the last failure."""
        if (server := self._attempts.next_server()) is not None:
            self.tally.server = server.name
            server.acquire(self)
        else:
            self._refuse(failure)

    # -- the request's body

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Bound the body. Returns the refusal if it is declared too long or the codec refuses."""
        codec = self._codec
        if codec is not None:
            if codec.refusal is not None:
                return codec.refusal
            limit = codec.bound(limit)
        return None if self._body is None or self._body.bound(limit) else body_too_long(limit)

    def receive(self, data: bytes) -> bytes:
        """Take a piece of the body, and return what is behind it. Raises `MalformedMessage`."""
        if self._is_answered:
            return b""  # further bytes of the request mean nothing
        assert self._body is not None  # it is not complete
        piece, excess = self._body.receive_data(data)
        self._take(self._body, piece)
        return excess

    def end_request(self) -> None:
        """The body is complete, because its stream has ended. Raises `MalformedMessage`."""
        if not self._is_answered and self._body is not None and not self.is_request_complete:
            self._body.end()
            self._take(self._body, b"")

    def _take(self, received: RequestBody, body: bytes) -> None:
        """Gather a piece of the body, or hand it on to the server."""
        self.is_request_complete = is_complete = received.is_complete
        self.tally.request_bytes = received.received
        if self._codec is not None:
            body = self._codec.receive_data(body, is_complete=is_complete)
        connection = self._connection
        if connection is None:
            received.gather(body)
            return
        connection.is_request_complete = is_complete
        if connection.write_body(received.framing, body):
            self._await_request()

    def hurry(self) -> None:
        if self._body is not None:
            self._body.hurry()

    @property
    def keeps_body(self) -> bool:
        """Whether it keeps what it receives, until a server has it."""
        return self._connection is None and not self._is_answered

    @property
    def _is_answered(self) -> bool:
        """Whether the answer is complete, though perhaps not sent."""
        return self._state is _ExchangeState.OVER or self._state is _ExchangeState.SPOOLED

    def _await_request(self) -> None:
        """Give the server no deadline while the client owes the next piece."""
        if self._connection is not None and not self.is_request_complete and not self.holds_client_back:
            self._connection.await_request()

    # -- the pool's side

    @property
    def is_waiting(self) -> bool:
        """Whether it still needs a connection."""
        return self._state is _ExchangeState.WAITING

    def upstream_acquired(self, connection: Carrier) -> None:
        """Send what is here of the request; keep a complete one if it may be sent once more."""
        self._state = _ExchangeState.SENT
        self._connection = connection
        outgoing = self._outgoing
        body = self._body
        request = outgoing.text
        if body is not None:
            request, outgoing.text = request + body.take(is_bare=connection.has_frames), b""
            self._client.body_taken()
            if not body.is_complete:
                self._client.resume_request()  # first: a blocked server pauses it again
            elif connection.has_frames or is_repeatable(self.request.head.method):
                outgoing.text = request
                self._body = None
        receiver = self if self._codec is None else self._codec.receiver(self)
        connection.is_request_complete = self.is_request_complete
        connection.begin(receiver, self.request.head, self._framing.websocket, request)
        if not self.is_request_complete:
            self._await_request()
        if self._is_client_paused:
            self._hold_server_back()

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Try the next server: nothing was sent yet, so this is safe for every method."""
        if (last_word := self._attempts.last_word(failure)) is None:
            self._acquire(failure)
        else:
            self._refuse(last_word)

    # -- the upstream connection's side

    def never_index(self, names: frozenset[bytes]) -> None:
        self._writer.never_index(names)

    def informational(self, response: Response) -> None:
        """Relay a 1xx response to a client that can take it (RFC 9110 section 15.2)."""
        body = self._body
        is_continue = response.framing.head.status == _CONTINUE
        # only a client that waits for a 100 gets it: others would take it for their next answer
        if self.request.head.minor_version and (not is_continue or (body is not None and body.awaits_continue)):
            self._writer.informational(response)
            if body is not None and is_continue:
                body.was_invited = True
                self._client.resume_request()  # its time for the body begins now
            if self._is_client_paused:
                self._hold_server_back()
        self._await_request()

    def switched(
        self, response: Response, stream: ByteStream, rest: bytes, messages: SealedMessages | None = None
    ) -> None:
        """Become a tunnel. `messages`, if given, encrypt those of the client's side."""
        self._state = _ExchangeState.OVER
        self._connection = None
        place = self._client.tunnel_place(self._attempts.server)
        if isinstance(place, RequestRefusal):
            stream.hand_over(StreamOwner())
            stream.abort()
            self._client.refuse(place)
            return
        self.tally.status = response.framing.head.status
        self.tally.first_byte = self._service.stopwatch()
        self._writer.switch(self._attempts.bound(self._outgoing.changed(response)), self.tally.request_id)
        server = self._attempts.server
        self._client.tunnel(SwitchedStream(response.framing, stream, rest, server, place, messages))

    def response_started(self, response: Response) -> None:
        """Write the head for the client."""
        self._state = _ExchangeState.RESPONDING
        tally = self.tally
        tally.first_byte = self._service.stopwatch()
        tally.status = response.framing.head.status
        if tally.status >= _SERVER_ERROR:
            self._attempts.server.answered_badly()
        bound = self._attempts.bound(self._outgoing.changed(response))
        self._writer.start(bound, tally.request_id, is_request_complete=self.is_request_complete)

    def response_data(self, data: bytes | memoryview) -> None:
        """Write a piece of the body for the client."""
        self.tally.response_bytes += len(data)
        self._writer.data(data)

    def response_ended(self, trailers: list[Header]) -> None:
        self._writer.end(trailers)
        self._connection = None
        slow = self._slow
        if slow is not None:
            slow.moves()
            if slow.writer is not None:
                self._state = _ExchangeState.SPOOLED
                return
            slow.close()
        self._state = _ExchangeState.OVER
        self.response_flushed()
        self._writer.complete()

    def response_flushed(self) -> None:
        """Send what one read of the upstream brought, as one piece."""
        sent = self._writer.flush()
        if sent and self._is_client_paused:
            self._hold_server_back(sent)

    def upstream_failed(self, failure: UpstreamFailure, *, is_excused: bool) -> None:
        """Try once more if that is safe, else answer for the upstream, or cut the response."""
        self._connection = None
        slow = self._slow
        if slow is not None:
            self._slow = None
            slow.close()
        if not is_excused:  # the close of an idle connection is not a fault of the server
            self._attempts.server.failed_a_request()
        if self._state is _ExchangeState.RESPONDING:
            self._state = _ExchangeState.OVER
            self.response_flushed()
            self._client.cut(str(failure))
        elif self._attempts.may_repeat(self._outgoing.text, failure, is_excused=is_excused):
            self._state = _ExchangeState.WAITING
            self._acquire(failure)
        else:
            self._refuse(failure)

    def _refuse(self, failure: UpstreamFailure | None) -> None:
        self._state = _ExchangeState.OVER
        self._client.refuse(self._attempts.refusal(failure))

    def response_refused(self, refusal: RequestRefusal, *, is_complete: bool) -> None:
        """Answer with an internal error: no byte of the response went to the client."""
        if is_complete:
            self._connection = None  # it is the pool's again, and another exchange may have it by now
        if self._state is _ExchangeState.SENT:
            self._client.refuse(refusal)

    def pause_writing(self) -> None:
        """The upstream takes no more of the body."""
        if not self.is_request_complete:
            self._client.pause_request()

    def resume_writing(self) -> None:
        """The upstream takes the body again."""
        if not self.is_request_complete:
            self._client.resume_request()
            self._await_request()

    # -- the client's side

    @property
    def holds_client_back(self) -> bool:
        """Whether the client rightly waits for the server's 100 (RFC 9110 section 10.1.1)."""
        return self._body is not None and self._body.is_held_back

    @property
    def has_responded(self) -> bool:
        return self._state is _ExchangeState.RESPONDING or self._state is _ExchangeState.SPOOLED

    def pause_response(self) -> None:
        self._is_client_paused = True
        self._hold_server_back()

    def _hold_server_back(self, written: int = 0) -> None:
        """Pause the server if there is no room. The blocked client just got `written` bytes."""
        slow = self._slow
        if slow is not None and slow.writer is not None:
            has_room = slow.has_room
        else:
            has_room = self._client.has_room(self.holder, written)
        if not has_room and self._connection is not None:
            self._connection.pause_reading()
            if slow is None:
                shares = self._attempts.server.connections.line.shares
                slow = self._slow = UnreadAnswer(self._service.unread_answers, shares, self)
            slow.stands()

    def resume_response(self) -> None:
        self._is_client_paused = False
        slow = self._slow
        if slow is not None and slow.writer is not None:
            self._drain()
        if self._connection is not None and (slow is None or not self._is_client_paused or slow.has_room):
            if slow is not None:
                slow.moves()
            self._connection.resume_reading()

    # -- what is spooled

    def spool(self) -> None:
        """Let the server continue; the rest of its answer goes into the spool."""
        slow = self._slow
        assert slow is not None  # it is what calls this
        assert self._connection is not None  # the server waits
        if self._state is not _ExchangeState.RESPONDING:
            slow.stands()  # there is nothing to spool yet
            return
        if slow.writer is None:
            self._client.hold(self.holder)
            slow.begin(self._writer)
            self._writer = slow
        self._connection.resume_reading()

    def _drain(self) -> None:
        """Write what was spooled until the client is blocked again, a piece in each turn."""
        slow = self._slow
        if slow is None or slow.writer is None or self._is_client_paused:
            return  # it has ended meanwhile
        try:
            slow.pass_on()
        except OSError as error:
            self._client.cut(f"the spool cannot be read: {error.strerror}")
            return
        if self._is_client_paused:
            self._client.hold(self.holder)
        elif slow.unread:
            self._service.loop.call_soon(self._drain)
        else:
            self._writer = slow.finish()
            if self._state is _ExchangeState.SPOOLED:
                self._state = _ExchangeState.OVER
                slow.close()
                self.response_flushed()
                self._writer.complete()

    def displaced(self, reason: str) -> None:
        """End the answer: others need what it holds."""
        self._client.reader_is_late(reason)

    def abandon(self) -> None:
        """Stop all work on the request, and let go what it holds."""
        super().abandon()
        self._state = _ExchangeState.OVER
        if self._slow is not None:
            self._slow.close()
        if self._codec is not None:
            self._codec.abandoned()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.abandon()
