"""How long we wait for a client that owes us something, and what we hold for it: of one connection, made when it is needed first."""

from typing import Final

from proxy.downstream.response_buffer import ResponseBuffer, Stream
from proxy.downstream.service import HttpService
from proxy.limits.pace import BodyPace, ReaderPace
from proxy.net.deadlines import NEVER

# Of the time to drain, how much an idle connection may wait for one more request.
_SHARE: Final = 0.5
# Whoever has something to ask does so right after the handshake; who only connected in advance shall not hold up a drain.
_FIRST_REQUEST_SECONDS: Final = 2.0


def for_last_request(drain_seconds: float, *, gently: bool) -> float:
    """How long an idle connection may wait for one more request in a drain, see `service.Drainable.drain`; a new one, if not gently."""
    return drain_seconds * _SHARE if gently else min(drain_seconds, _FIRST_REQUEST_SECONDS)


class ClientDeadlines:
    """Turns what a client does into deadlines, and into room for the answer to one that is slow."""

    __slots__ = ("_body", "_buffer", "_reader", "_service", "_stream")

    def __init__(self, service: HttpService, stream: Stream) -> None:
        """`stream` leads to the client."""
        self._service: Final = service
        self._stream: Final = stream
        self._body: BodyPace | None = None
        self._buffer: ResponseBuffer | None = None
        self._reader: ReaderPace | None = None

    def for_body(self, deadline: float, received: int) -> float:
        """When the next piece of a body is due, after so many bytes that came before `deadline`; if it ran, that is.

        The bytes buy the time that they take at the least rate, so a client that drips uses its time up.
        """
        now, body = self._service.clock(), self._body
        if body is not None and received and deadline is not NEVER:
            return body.proceed(deadline, received, now)
        limits = self._service.runtime.limits
        self._body = body = BodyPace(limits.body_bytes_per_second, limits.body_idle_seconds)
        return body.begin(now)

    @property
    def body_reason(self) -> str:
        """What to call it that a body did not come in time."""
        assert self._body is not None  # it had a deadline
        return self._body.reason

    def has_room(self, holder: bytes, written: int) -> bool:
        """Whether more of its answer may be taken for a client that blocks, see `ResponseBuffer`."""
        return self._blocked.has_room(holder, written, self._service.runtime.limits.response_buffer)

    @property
    def _blocked(self) -> ResponseBuffer:
        if self._buffer is None:
            self._buffer = ResponseBuffer(self._stream, self._service.response_budget)
        return self._buffer

    def for_reader(self, now: float) -> float:
        """Until when a client that blocks has time; `now` when it is over."""
        if self._reader is None:
            limits = self._service.runtime.limits
            self._reader = ReaderPace(self._blocked, limits.response_bytes_per_second, limits.write_idle_seconds)
        return self._reader.look(now)

    def reader_took_all(self) -> None:
        """It does not block any more, or is gone."""
        if self._reader is not None:
            self._reader.end(self._service.clock())
        if self._buffer is not None:
            self._buffer.release()

    @property
    def reader_reason(self) -> str:
        """What to say when a client took too little for too long."""
        assert self._reader is not None  # it had a deadline
        return self._reader.reason
