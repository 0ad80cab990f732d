"""How far a client may fall behind the rate that is asked of it. Pure.

Both directions have the same rule: a client may be so many seconds behind; each byte that it moves buys the time that this byte
takes at the rate, and time is used only while it is the client that we wait for. What was saved up by being fast is forgotten.
The state is a deadline, so that nothing has to be done between two bytes.
"""

from typing import Final, Protocol

from proxy.limits.reasons import RequestReason

# What is left of a time that is as good as over: deadlines are looked at four times a second.
_LEAST_SECONDS: Final = 0.25


class BodyPace:
    """A client's time for sending a body."""

    __slots__ = ("_is_slow", "_per_second", "_seconds")

    def __init__(self, per_second: int, seconds: float) -> None:
        """`per_second` bytes are asked for, and it may be `seconds` behind."""
        self._per_second: Final = per_second
        self._seconds: Final = seconds
        self._is_slow = False

    def begin(self, now: float) -> float:
        """The client owes something from now on; answers its deadline."""
        self._is_slow = False
        return now + self._seconds

    def proceed(self, deadline: float, received: int, now: float) -> float:
        """So much came before the deadline; answers the new one."""
        latest, earned = now + self._seconds, deadline + received / self._per_second
        self._is_slow = earned < latest
        return earned if self._is_slow else latest

    @property
    def reason(self) -> RequestReason:
        """What to call it when the deadline has passed."""
        return RequestReason.BODY_TOO_SLOW if self._is_slow else RequestReason.BODY_TIMEOUT


class Backlog(Protocol):
    """What a client has to take."""

    @property
    def waiting_bytes(self) -> int:
        """How much its machine has not acknowledged."""

    @property
    def written_bytes(self) -> int:
        """How much was added to that while it was blocked, ever."""


class ReaderPace:
    """A client's time for taking what waits for it.

    Theory of operation. The kernel takes bytes for the client long before the client does, and says that it takes more only when
    a third of its buffer is free: with megabytes in it a slow client is silent for minutes. So progress is what the client's
    machine acknowledged. Asking for that costs a system call, which only those are worth who have blocked for some time: a stall
    begins at the first look at a blocked client, at a sweep of the deadlines, and one that ends before was none.
    """

    __slots__ = (
        "_backlog",
        "_is_running",
        "_left",
        "_per_second",
        "_seconds",
        "_since",
        "_waiting",
        "_was_moving",
        "_written",
    )

    def __init__(self, backlog: Backlog, per_second: int, seconds: float) -> None:
        """`per_second` bytes are asked for, and it may be `seconds` behind."""
        self._backlog: Final = backlog
        self._per_second: Final = per_second
        self._seconds: Final = seconds
        self._left = seconds
        self._is_running = False
        self._since = 0.0
        self._waiting = self._written = 0
        self._was_moving = False

    def look(self, now: float) -> float:
        """See how a blocked client gets on; answers its deadline, `now` for one that is too slow."""
        if self._is_running:
            self._reckon(now)
            return now + self._left if self._left > _LEAST_SECONDS else now
        self._is_running = True
        self._was_moving = False
        self._since, self._waiting, self._written = now, self._backlog.waiting_bytes, self._backlog.written_bytes
        return now + self._left

    def end(self, now: float) -> None:
        """The client took enough for more to be sent."""
        if self._is_running:
            self._reckon(now)
            self._is_running = False

    def _reckon(self, now: float) -> None:
        waiting, written = self._backlog.waiting_bytes, self._backlog.written_bytes
        taken = max(0, self._waiting + written - self._written - waiting)
        self._was_moving = taken > 0
        self._left = min(self._seconds, self._left - (now - self._since) + taken / self._per_second)
        self._since, self._waiting, self._written = now, waiting, written

    @property
    def reason(self) -> str:
        """What to say when the deadline has passed."""
        if self._was_moving:
            return f"{RequestReason.READER_TOO_SLOW}: the client takes the response too slowly"
        return f"{RequestReason.READER_TIMEOUT}: the client takes no more of the response"
