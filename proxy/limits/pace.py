"""How far a client may fall behind the required rate. Pure.

Both directions have the same rule. A client may be some seconds behind. Each byte that it moves
buys the time that this byte takes at the rate, and time is used only while we wait for the client.
A client that is faster than the rate saves up no time. The state is a deadline, so no work is done
between two bytes.
"""

from typing import Final, Protocol

from proxy.limits.reasons import RequestReason

# Less than this counts as over: deadlines are checked four times a second.
_LEAST_SECONDS: Final = 0.25


class BodyPace:
    """A client's time for sending a body."""

    def __init__(self, per_second: int, seconds: float) -> None:
        """`per_second` bytes are required, and the client may be `seconds` behind."""
        self._per_second: Final = per_second
        self._seconds: Final = seconds
        self._is_slow = False

    def begin(self, now: float) -> float:
        """The client owes bytes from now on; returns its deadline."""
        self._is_slow = False
        return now + self._seconds

    def proceed(self, deadline: float, received: int, now: float) -> float:
        """`received` bytes arrived before the deadline; returns the new one."""
        latest = now + self._seconds
        earned = deadline + received / self._per_second
        self._is_slow = earned < latest
        return earned if self._is_slow else latest

    @property
    def reason(self) -> RequestReason:
        """The reason if the deadline passes."""
        return RequestReason.BODY_TOO_SLOW if self._is_slow else RequestReason.BODY_TIMEOUT


class Backlog(Protocol):
    """The bytes that a client has to take."""

    @property
    def waiting_bytes(self) -> int:
        """Those that its machine has not acknowledged."""

    @property
    def written_bytes(self) -> int:
        """Those that were added while it was blocked, in total."""


class ReaderPace:
    """A client's time for taking the bytes that wait for it.

    Theory of operation. The kernel buffers bytes for the client, and reports the socket as writable
    only when a third of that buffer is free. With megabytes in it a slow client would seem silent
    for minutes. So the progress of a client is what its machine has acknowledged. To ask the kernel
    for that costs a system call, so only clients that are blocked for some time are asked. A stall
    begins when a sweep of the deadlines first finds the client blocked; a shorter one does not
    count.
    """

    def __init__(self, backlog: Backlog, per_second: int, seconds: float) -> None:
        """`per_second` bytes are required, and the client may be `seconds` behind."""
        self._backlog: Final = backlog
        self._per_second: Final = per_second
        self._seconds: Final = seconds
        self._left = seconds
        self._is_running = False
        self._since = 0.0
        self._waiting = self._written = 0
        self._was_moving = False

    def look(self, now: float) -> float:
        """Measure the progress of a blocked client; returns its deadline, `now` if it is slow."""
        if self._is_running:
            self._reckon(now)
            return now + self._left if self._left > _LEAST_SECONDS else now
        self._is_running = True
        self._was_moving = False
        self._since = now
        self._waiting = self._backlog.waiting_bytes
        self._written = self._backlog.written_bytes
        return now + self._left

    def excuse(self, now: float) -> float:
        """As `look`, but the time since the last look does not count: the client waited."""
        self._since = now
        return self.look(now)

    def end(self, now: float) -> None:
        """The client took enough for more to be sent."""
        if self._is_running:
            self._reckon(now)
            self._is_running = False

    def _reckon(self, now: float) -> None:
        waiting = self._backlog.waiting_bytes
        written = self._backlog.written_bytes
        taken = max(0, self._waiting + written - self._written - waiting)
        self._was_moving = taken > 0
        self._left = min(self._seconds, self._left - (now - self._since) + taken / self._per_second)
        self._since = now
        self._waiting = waiting
        self._written = written

    @property
    def reason(self) -> str:
        """The reason for the log if the deadline passes."""
        if self._was_moving:
            return f"{RequestReason.READER_TOO_SLOW}: the client reads the response too slowly"
        return f"{RequestReason.READER_TIMEOUT}: the client takes no more of the response"
