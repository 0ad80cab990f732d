"""How long one client may take to deliver or to read, and how much the proxy buffers for it."""

from typing import Final

from proxy.downstream.service.response_buffer import ResponseBuffer, Stream
from proxy.downstream.service.service import HttpService
from proxy.limits.pace import BodyPace, ReaderPace
from proxy.net.deadlines import NEVER

# How much of a drain an idle connection may wait for one more request.
_SHARE: Final = 0.5
# A client with a request sends it right after the handshake. A client that only connected in
# advance must not delay a drain.
_FIRST_REQUEST_SECONDS: Final = 2.0


def for_last_request(drain_seconds: float, *, gently: bool) -> float:
    """How long a connection may wait for its last requests in a drain.

    If gently, each idle connection may wait for one more, else only a new one.
    """
    return drain_seconds * _SHARE if gently else min(drain_seconds, _FIRST_REQUEST_SECONDS)


class ClientDeadlines:
    """Turns the pace of a client into deadlines, and into room for its answer if it is slow.

    It makes each part when the connection first needs it.
    """

    def __init__(self, service: HttpService, stream: Stream) -> None:
        self._service: Final = service
        self._stream: Final = stream
        self._body: BodyPace | None = None
        self._buffer: ResponseBuffer | None = None
        self._reader: ReaderPace | None = None

    def for_body(self, deadline: float, received: int) -> float:
        """When the next piece of a body is due, after `received` bytes.

        They arrived before `deadline`, which is `NEVER` if there was none. The bytes buy the time
        that they take at the least rate, so a client that sends too slowly uses its time up.
        """
        now = self._service.clock()
        body = self._body
        if body is not None and received and deadline != NEVER:
            return body.proceed(deadline, received, now)
        limits = self._service.runtime.limits
        self._body = body = BodyPace(limits.body_bytes_per_second, limits.body_idle_seconds)
        return body.begin(now)

    @property
    def body_reason(self) -> str:
        """The reason for the log if a body did not arrive in time."""
        assert self._body is not None  # it had a deadline
        return self._body.reason

    def has_room(self, holder: bytes, written: int) -> bool:
        return self._blocked.has_room(holder, written, self._service.runtime.limits.response_buffer)

    def hold(self, holder: bytes) -> None:
        self._blocked.hold(holder)

    @property
    def _blocked(self) -> ResponseBuffer:
        if self._buffer is None:
            self._buffer = ResponseBuffer(self._stream, self._service.response_budget)
        return self._buffer

    def for_reader(self, now: float, *, is_excused: bool = False) -> float:
        """Until when a blocked client has time; `now` if its time is over.

        If it is excused, the time since the last call does not count.
        """
        if self._reader is None:
            limits = self._service.runtime.limits
            self._reader = ReaderPace(self._blocked, limits.response_bytes_per_second, limits.write_idle_seconds)
        return self._reader.excuse(now) if is_excused else self._reader.look(now)

    def reader_took_all(self) -> None:
        """The client is not blocked any more, or is gone."""
        if self._reader is not None:
            self._reader.end(self._service.clock())
        if self._buffer is not None:
            self._buffer.release()

    @property
    def reader_reason(self) -> str:
        """The reason for the log if a client took too little for too long."""
        assert self._reader is not None  # it had a deadline
        return self._reader.reason
