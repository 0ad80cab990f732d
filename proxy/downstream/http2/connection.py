"""One client connection that speaks HTTP/2: drives its session, and gives each stream its events.

Theory of operation. The session is pure: bytes in, events out, bytes out. What is to be sent waits
in it until the end of the turn of the loop, so the answers of many streams leave as one piece.
While the transport is blocked nothing is fetched, so what waits is bounded by what bounds each
stream.
"""

from enum import Enum, auto
from typing import Final

from proxy.downstream.http2.host import StreamHost
from proxy.downstream.http2.stream import Http2Stream
from proxy.downstream.pipeline.contracts import ClientStream
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.client_deadlines import ClientDeadlines, for_last_request
from proxy.downstream.service.service import HttpService
from proxy.http2.fields.field_rules import trailer_fault
from proxy.http2.session.events import (
    BodyReceived,
    ConnectionFailed,
    PeerLeaves,
    RequestReceived,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.session.served_session import ServedSession
from proxy.http2.streams.stream import SessionStream, StreamSide
from proxy.http2.wire.causes import ResetCause, reset_cause
from proxy.http2.wire.errors import ErrorCode
from proxy.limits.idleness import Idle
from proxy.net.deadlines import NEVER
from proxy.observe.counts.listener_counters import StreamCounters
from proxy.tls.wire.waiting_data import RECORD_BYTES

# About a round trip of the slowest client. Streams that it opened before it saw our first GOAWAY
# arrive within this time, those that it sends behind a GOAWAY of its own, and the rest of a request
# that it sent before it saw the answer.
_ON_THE_WAY_SECONDS: Final = 1.0
# Three frames of bodies in one send, each of which fills a record: the third is begun while any
# room is left. Six, which are copied into one piece first, cost more.
_ROOM_BYTES: Final = 2 * RECORD_BYTES


class _Stage(Enum):
    SERVING = auto()
    LEAVING = auto()  # the client was told to open no more streams; what is on its way is taken up
    LEFT = auto()  # no stream is taken up; it ends after the last one
    ENDED = auto()  # nothing more is read or written


_ENDED: Final = _Stage.ENDED  # compared at each read and at each write: compiled code looks up a member of an enum


class Http2Connection(StreamHost):
    """Owner of a client's `TlsStream`, and host of its streams.

    With a session of HTTP/3 it is that of a `QuicTransport`.
    """

    def __init__(
        self,
        service: HttpService,
        stream: ClientStream,
        facts: ClientFacts,
        session: ServedSession,
        counters: StreamCounters,
    ) -> None:
        """Take over an established stream, which is reading already."""
        super().__init__(service, stream, facts, session, counters)
        self._patience: Final = ClientDeadlines(service, stream)
        self._streams: set[Http2Stream] = set()
        self._finishing: list[Http2Stream] = []  # their answers wait to be sent
        self._is_flush_due = False
        self._is_write_paused = False
        self._stage = _Stage.SERVING
        self._awaited = 0  # in a drain, GOAWAY comes behind the answers of the streams up to this one
        self._head_began: float | None = None  # while CONTINUATION frames have to come
        self._began = NEVER  # when the first byte came
        self._idle_since = service.clock()
        self.deadline = self._due
        service.deadlines.watch(self)
        service.connections.opened(self)
        self.counters.connections += 1
        self.counters.connections_open += 1
        self.flush_soon()  # our SETTINGS

    # -- the stream's side

    def data_received(self, data: bytes) -> None:
        if self._stage is _ENDED:
            return
        if self._began == NEVER:
            self._began = self.service.clock()
            if not self._is_write_paused:
                self.deadline = self._due
        refused = self.session.refused_streams
        self._is_flush_due = True  # it comes below
        for event in self.session.receive_data(data):
            self._act(event)
        if self.session.refused_streams != refused:
            self.counters.resets[ResetCause.REFUSED] += self.session.refused_streams - refused
        if self.session.is_head_incomplete is not (self._head_began is not None):
            self._head_began = self.service.clock() if self._head_began is None else None
            if not self._is_write_paused:
                self.deadline = self._due
        self._flush()

    def _act(self, event: SessionEvent) -> None:
        if isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, BodyReceived):
            if (one := self._of(event.stream)) is not None:
                one.body_received(event.data, is_ended=event.is_ended)
        elif isinstance(event, StreamReset):
            self._reset_received(event)
        elif isinstance(event, TrailersReceived):
            if (one := self._of(event.stream)) is not None:
                one.trailers_received(trailer_fault(event.decoded))
        else:
            self._act_on_connection(event)

    def _act_on_connection(self, event: SessionEvent) -> None:
        if isinstance(event, ConnectionFailed):
            self._failed(event.code, event.reason)
        elif isinstance(event, PeerLeaves):
            self.leave()  # not at once: Node sends the requests of the same turn behind it

    def _of(self, stream: SessionStream) -> Http2Stream | None:
        owner = stream.owner
        return owner if isinstance(owner, Http2Stream) else None

    def _begin(self, event: RequestReceived) -> None:
        stream = event.stream
        if stream.is_closed:  # its client gave it up in the same breath
            self.session.work_ended(stream)
            return
        one = Http2Stream(self, stream)
        stream.owner = one
        self._streams.add(one)
        self.counters.streams_open += 1
        one.begin(event.decoded, is_ended=event.is_ended)

    def _reset_received(self, event: StreamReset) -> None:
        self.counters.resets[reset_cause(event.code) if event.reason else ResetCause.CLIENT] += 1
        one = self._of(event.stream)
        if one is None:
            if event.fields is not None:
                self.log_malformed(event.reason, event.fields)
            self.session.work_ended(event.stream)
        else:
            one.lost(event.reason or f"the client reset the stream (error {event.code})")

    def eof_received(self) -> None:
        """The client sends no more, so it opens no stream and gives no credit."""
        self._abandon("the client ended the connection")
        self.end()

    def connection_lost(self, error: OSError | None) -> None:
        self._stage = _Stage.ENDED
        self.facts.left()
        self.log.lost(error)
        self._abandon("the client closed the connection" if error is None else f"the connection was lost: {error}")
        self._finishing.clear()  # without it, reference counts free all of the connection
        self._patience.reader_took_all()
        self.counters.connections_open -= 1
        self.service.deadlines.forget(self)
        self.service.connections.closed(self)

    def pause_writing(self) -> None:
        """The client takes no more. Sweeps of the deadlines measure its pace."""
        self._is_write_paused = True
        self.deadline = self.service.clock()

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._patience.reader_took_all()
        self.deadline = self._due
        self._flush()

    # -- sending

    @property
    def is_write_paused(self) -> bool:
        """Whether the transport takes no more: `deadline_passed` judges the client then."""
        return self._is_write_paused

    def flush_soon(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self.service.after_reports(self._flush)

    def send(self) -> None:
        session = self.session
        while not (self._is_write_paused or self._stage is _ENDED):
            data = session.data_to_send(_ROOM_BYTES)
            if self._awaited and self._has_answered:
                self.leave()
                data += session.data_to_send(0)
            if not data:
                break
            self.stream.write(data)

    def _flush(self) -> None:
        self._is_flush_due = False
        session = self.session
        self.send()
        for stream in session.take_unblocked():
            if (one := self._of(stream)) is not None:
                one.unblocked()
        if self._finishing and not self._is_write_paused:
            self._finish()
        if session.has_failed:
            self.end()
        elif self._stage is _Stage.LEFT:
            self._end_if_empty()

    def _finish(self) -> None:
        """Let go the streams whose answers were sent, and wait for the windows of the others."""
        finishing, self._finishing = self._finishing, []
        for one in finishing:
            if one.is_over:
                continue
            if one.is_sent:
                one.sent()
            else:
                self._finishing.append(one)
                one.await_reader()

    # -- the streams' side

    def await_sent(self, stream: StreamSide) -> None:
        """Call `sent` of this stream when the end of its answer was sent."""
        assert isinstance(stream, Http2Stream)  # the streams that it made
        self._finishing.append(stream)

    def await_request(self, stream: SessionStream) -> None:
        """The answer was sent before the end of its request: give the rest a moment to come.

        What is on its way is judged. A client that has more to send is asked to stop.
        """
        self.service.loop.call_later(_ON_THE_WAY_SECONDS, self._stop, stream)

    def _stop(self, stream: SessionStream) -> None:
        if self._stage is not _ENDED:
            self.session.reset(stream, ErrorCode.NO_ERROR)  # RFC 9113 8.1; nothing if it is closed
            self._flush()
            self._end_if_empty()

    def stream_over(self, stream: StreamSide) -> None:
        assert isinstance(stream, Http2Stream)  # the streams that it made
        self._streams.discard(stream)
        self.counters.streams_open -= 1
        if not self._streams:
            self._idle_since = self.service.clock()
            if not self._is_write_paused:
                self.deadline = self._due
            self._end_if_empty()

    # -- ends

    @property
    def _due(self) -> float:
        """When the client owes the rest of a head, the answer to our SETTINGS, or a request.

        Browsers connect ahead, and say nothing before they have a request: that is an idle
        connection. Who has begun to speak owes the answer to our SETTINGS (RFC 9113 6.5.3).
        """
        limits = self.service.runtime.limits
        if self._head_began is not None:
            return self._head_began + limits.head_seconds
        if not self.session.settings_acked and self._began != NEVER:
            return self._began + limits.http2.settings_seconds
        return NEVER if self._streams else self._idle_since + limits.keep_alive_seconds

    def deadline_passed(self, now: float) -> None:
        """The client did not take or send in time what it owed."""
        if self._is_write_paused:
            self.deadline = self._patience.for_reader(now)
            if self.deadline <= now:
                self._abandon(self._patience.reader_reason)
                self.stream.abort()
            return
        self.deadline = self._due
        if self.deadline > now:
            return
        self.deadline = NEVER
        if self._head_began is not None:
            self.session.fail(ErrorCode.ENHANCE_YOUR_CALM)
            self._failed(ErrorCode.PROTOCOL_ERROR, "the fields of a request did not arrive in time")
            self._flush()
        elif not self.session.settings_acked and self._began != NEVER:
            self.session.fail(ErrorCode.SETTINGS_TIMEOUT)
            self._failed(ErrorCode.SETTINGS_TIMEOUT, "our SETTINGS were not acknowledged")
            self._flush()
        else:
            self.leave()

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Leave behind the answers of the requests in flight, after half of `seconds` at most.

        To some clients the first GOAWAY is the end: python-hyper, and so httpx, gives up all its
        requests (RFC 9113 6.8 has them continue). It goes out in one piece with the last of the
        answers, before the client asks again. If no request is in flight, one more gets a moment
        to come: a client may be between two of them, or may have just connected. The service
        drains the WebSockets of the connection by itself.
        """
        del gently  # GOAWAY is gentle
        if self._stage is not _Stage.SERVING:
            return
        last = self.session.last_taken
        latest = for_last_request(seconds, gently=True)
        if all(one.is_tunnel for one in self._streams):
            last = last + 2 if last else 1  # the next one (RFC 9113 5.1.1)
            latest = min(latest, for_last_request(seconds, gently=False))
        self._awaited = last
        self.service.loop.call_later(latest, self.leave)

    @property
    def _has_answered(self) -> bool:
        """Whether the streams up to the awaited one came and, but for WebSockets, are answered."""
        last = self._awaited
        return self.session.last_taken >= last and all(
            one.is_sent or one.is_tunnel or one.number > last for one in self._streams
        )

    def leave(self) -> None:
        if self._stage is not _Stage.SERVING:
            return
        self._stage = _Stage.LEAVING
        self._awaited = 0
        self.session.go_away(is_final=False)
        self.flush_soon()
        self.service.loop.call_later(_ON_THE_WAY_SECONDS, self._leave_finally)

    def _leave_finally(self) -> None:
        if self._stage is _Stage.LEAVING:
            self._stage = _Stage.LEFT
            self.session.go_away(is_final=True)
            self._flush()
            self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self._stage is _Stage.LEFT and not self._streams and not self.session.has_streams:
            self.end()

    def _failed(self, code: int, reason: str) -> None:
        """The session ended for a fault of the client."""
        self.log.cut(self.session.reason_of(code, reason), reason)
        self._abandon(reason)

    def _abandon(self, reason: str) -> None:
        for one in list(self._streams):
            one.lost(reason)

    def give_up(self, reason: str) -> None:
        """End at once; the client sees that its answers are cut.

        WebSockets are given up by the service, and their close frames go first.
        """
        for one in list(self._streams):
            if not one.is_tunnel:
                one.lost(reason)
        self.service.loop.call_soon(self._cut)

    def _cut(self) -> None:
        self._flush()
        self._stage = _Stage.ENDED
        self.stream.cut()

    def end(self) -> None:
        if self._stage is not _ENDED:
            self._stage = _Stage.ENDED
            self.deadline = NEVER
            last = self.session.data_to_send(_ROOM_BYTES)  # the RST_STREAM or the GOAWAY that tells why
            if last:
                self.stream.write(last)
            self.stream.end()

    def configuration_changed(self, seconds: float) -> None:
        """Go on, unless the listener would refuse this client now.

        Even then the requests in flight are answered, but it gets no time for more.
        """
        del seconds
        try:
            self.facts.stand(self.service.runtime.policies)
        except NoLongerWelcome:
            self.leave()

    @property
    def idle(self) -> Idle | None:
        if self._streams or self._is_write_paused:
            return None
        return self.facts.idle(self._idle_since, is_new=self.session.last_taken == 0)

    def shed(self) -> None:
        self.session.go_away(is_final=True)
        self._flush()
        self._stage = _Stage.ENDED
        self.stream.end_at_once()
