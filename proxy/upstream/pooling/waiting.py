"""Requests that wait for a connection to one server: bounded in number and time, in fair turns."""

from collections.abc import Callable
from typing import Final, Protocol

from proxy.limits.fair_queue import FairQueue, QueueLimits
from proxy.net.deadlines import NEVER, Deadlines
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.client_link import ClientLink
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.pools import ServerLimits
from proxy.upstream.pooling.shares import Shares


class Borrower(Protocol):
    """Asks for a connection. While it waits, the pool calls one of the two methods, once."""

    @property
    def holder(self) -> bytes:
        """The client network that the connection counts for, or `EXEMPT`."""

    @property
    def link(self) -> ClientLink:
        """The connection of its client, for servers that want a PROXY header."""

    @property
    def is_waiting(self) -> bool:
        """Whether it still wants one: its client may have left in the meantime."""

    def upstream_acquired(self, connection: Carrier) -> None:
        """The connection is the borrower's until the response has ended."""

    def upstream_unavailable(self, failure: UpstreamFailure) -> None: ...


class Waiting:
    """A borrower in the queue. Watched by the deadlines."""

    def __init__(self, line: "WaitingLine", borrower: Borrower, since: float, seconds: float) -> None:
        """It waits from `since`, for `seconds` at most."""
        self.line = line
        self.borrower = borrower
        self.holder = borrower.holder
        self.since = since
        self.deadline = since + seconds

    def deadline_passed(self, now: float) -> None:
        del now
        self.deadline = NEVER
        self.line.give_up(self)


class WaitingLine:
    """The queue of one server. Clients take turns in it, by their shares."""

    def __init__(
        self, name: str, limits: ServerLimits, shares: Shares, deadlines: Deadlines, clock: Callable[[], float]
    ) -> None:
        """Begin empty. `name` is the server's, for the log."""
        self._name: Final = name
        self._limits: Final = limits
        self.shares: Final = shares
        self._deadlines: Final = deadlines
        self._clock: Final = clock
        self._queue: FairQueue[Waiting] = FairQueue(QueueLimits(limits.waiting, per_network=limits.waiting))
        self.wait_seconds = 0.0
        """The sum of the times that requests waited."""

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    def enqueue(self, borrower: Borrower) -> None:
        """Queue a request.

        If the queue is full, the newest request of the client that has the most in it is refused.
        """
        waiting = Waiting(self, borrower, self._clock(), self._limits.wait_seconds)
        if self._queue.push(waiting.holder, waiting) is not None:
            self._forget_those_that_left()
            if self._queue.push_fairly(waiting.holder, waiting, self._displaced) is not None:
                self._refuse(waiting)
                return
        self._deadlines.watch(waiting)

    def _forget_those_that_left(self) -> None:
        """Remove requests whose clients have left, so that they take no place in the queue."""
        for waiting in [one for one in self._queue if not one.borrower.is_waiting]:
            self._queue.remove(waiting.holder, waiting)
            self._waited(waiting)

    def _displaced(self, waiting: Waiting) -> None:
        self._waited(waiting)
        self._refuse(waiting)

    def give_up(self, waiting: Waiting) -> None:
        """Refuse a borrower that waited too long."""
        self._queue.remove(waiting.holder, waiting)
        self._waited(waiting)
        if waiting.borrower.is_waiting:
            self._refuse(waiting)

    def _refuse(self, waiting: Waiting) -> None:
        held = self.shares.held(waiting.holder)
        detail = f"{self._name}: of {self._limits.connections} connections this client holds {held}"
        waiting.borrower.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY, detail))

    def next(self) -> Waiting | None:
        """The next waiting request whose client may have more, with the share taken for it."""
        while (waiting := self._queue.pop(self.shares.take)) is not None:
            self._waited(waiting)
            if waiting.borrower.is_waiting:
                return waiting
            self.shares.give_back(waiting.holder)
        return None

    def _waited(self, waiting: Waiting) -> None:
        self._deadlines.forget(waiting)
        self.wait_seconds += self._clock() - waiting.since
