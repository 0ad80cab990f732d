"""How long the client of one HTTP/2 stream may take to send its body, and to take its answer.

Most streams owe nothing for longer than a turn of the loop: a deadline is watched only once there
is one.

Theory of operation. A client owes each stream the least rate of an answer, but three times do not
count against a stream:

- The transport is blocked. The connection measures the pace of its client then.
- Bytes of the stream are still on their way: the client cannot give credit for them yet.
- The stream has a window, and waits for its turn.

The last two hold only while the client takes bytes of the connection at the least rate.
"""

from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from proxy.downstream.http2.host import StreamHost
from proxy.downstream.service.client_deadlines import ClientDeadlines
from proxy.http2.streams.stream import SessionStream
from proxy.net.deadlines import NEVER

# A blocked stream is looked at this often, as a share of the time that a silent client has. What
# blocks it may change in between: only the state at the look decides for the time before it.
_SHARE: Final = 0.25


class Impatient(Protocol):
    """The stream, which ends when its client takes too long."""

    def body_is_late(self, reason: str) -> None:
        """The next piece of the body did not come in time."""

    def reader_is_late(self, reason: str) -> None:
        """The client took too little of its answer for too long."""


@mypyc_attr(free_list_len=1)
class StreamPatience:
    """The deadline of one stream. A `response_buffer.Stream`, and `Watched` while it has one."""

    def __init__(self, host: StreamHost, stream: SessionStream, side: Impatient) -> None:
        self._host: Final = host
        self._service: Final = host.service
        self._stream: Final = stream
        self._side: Impatient | None = side
        self._pace: ClientDeadlines | None = None
        self._awaits_reader = False
        self._is_watched = False
        self._looked_at = 0.0
        self._taken_bytes = 0
        self._sent_bytes = 0
        self._last_byte = 0
        self.deadline = NEVER

    @property
    def held_bytes(self) -> int:
        """Bytes of the answer that wait here for the client."""
        return self._stream.queued

    @property
    def waiting_bytes(self) -> int:
        """The same: bytes that were sent count for the connection."""
        return self._stream.queued

    @property
    def _paces(self) -> ClientDeadlines:
        if self._pace is None:
            self._pace = ClientDeadlines(self._service, self)
        return self._pace

    def _set(self, deadline: float) -> None:
        self.deadline = deadline
        if not self._is_watched:
            self._is_watched = True
            self._service.deadlines.watch(self)

    def await_body(self, received: int, *, is_due: bool) -> None:
        """`received` bytes came. The client owes the next piece if it `is_due`."""
        if self._awaits_reader:
            return
        if is_due:
            self._set(self._paces.for_body(self.deadline, received))
        else:
            self.deadline = NEVER

    def await_reader(self) -> None:
        """The client has to make room for its answer."""
        if not self._awaits_reader:
            self._awaits_reader = True
            self._set(self._service.clock())

    def reader_took_all(self) -> None:
        """The client is not waited for any more."""
        self._awaits_reader = False
        self.deadline = NEVER
        if self._pace is not None:
            self._pace.reader_took_all()

    def has_room(self, holder: bytes, written: int) -> bool:
        """Whether a blocked client may get more of its answer, see `ResponseBuffer`."""
        return self._paces.has_room(holder, written)

    def hold(self, holder: bytes) -> None:
        """Count what waits for a blocked client, see `ResponseBuffer`."""
        self._paces.hold(holder)

    def deadline_passed(self, now: float) -> None:
        """The client did not deliver or take in time what it owed."""
        if not self._awaits_reader:
            self.deadline = NEVER
            if self._side is not None:
                self._side.body_is_late(self._paces.body_reason)
            return
        is_excused = self._is_excused(now)
        deadline = self._paces.for_reader(now, is_excused=is_excused)
        self.deadline = min(deadline, now + self._service.runtime.limits.write_idle_seconds * _SHARE)
        if deadline <= now and not is_excused and self._side is not None:
            self._side.reader_is_late(self._paces.reader_reason)

    def _is_excused(self, now: float) -> bool:
        """Whether the time since the last look does not count; the first look says nothing."""
        host = self._host
        stream = self._stream
        sent = host.session.sent_bytes
        taken = sent - host.stream.waiting_bytes  # about: records and heads wait as well
        owed = self._service.runtime.limits.response_bytes_per_second * (now - self._looked_at)
        is_moving = taken - self._taken_bytes >= owed
        self._looked_at = now
        self._taken_bytes = taken
        if stream.sent_bytes != self._sent_bytes:
            self._sent_bytes = stream.sent_bytes
            self._last_byte = sent  # at the latest there
        return host.is_write_paused or (is_moving and (stream.send_window > 0 or taken < self._last_byte))

    def end(self) -> None:
        """The stream is over. Without these references, reference counts free all of it."""
        self.reader_took_all()
        self._side = None
        self._pace = None
        if self._is_watched:
            self._is_watched = False
            self._service.deadlines.forget(self)
