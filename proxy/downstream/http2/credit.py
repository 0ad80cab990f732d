"""When a client of HTTP/2 gets credit for the body that it sent. Pure.

Theory of operation. The session counts windows: one for each stream, one for the connection. A body
that a server takes gets credit for both when the server has it. While the proxy keeps bytes, the
connection gets credit at once, so that bodies do not wait for each other's room there. The stream
gets it only within `Held`: one client can begin a hundred bodies on one connection, so all of them
share that bound. The oldest body gets it in any case, because some bodies have to be complete
before a server is asked. When half of the bound is used, a body is not gathered any longer.
"""

from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from proxy.http2.session.served_session import ServedSession
from proxy.http2.streams.stream import SessionStream


class Held:
    """What the proxy keeps of the bodies of one connection, until servers have it."""

    def __init__(self, most: int) -> None:
        """`most` bytes, then the rest of the oldest body, and one window for each stream."""
        self._most: Final = most
        self._keepers: dict[BodyCredit, None] = {}  # in the order of their first bytes
        self._waiting: set[BodyCredit] | None = None  # an empty set takes 230 bytes
        self.total = 0

    def has_room(self, credit: "BodyCredit") -> bool:
        """Whether this body gets credit for bytes that are kept."""
        return self.total <= self._most or next(iter(self._keepers)) is credit

    @property
    def is_pressed(self) -> bool:
        return self.total > self._most // 2

    def keep(self, credit: "BodyCredit", count: int) -> None:
        self._keepers[credit] = None
        self.total += count

    def wait(self, credit: "BodyCredit") -> None:
        """Settle this one when bytes were let go."""
        if self._waiting is None:
            self._waiting = {credit}
        else:
            self._waiting.add(credit)

    def release(self, credit: "BodyCredit", count: int) -> None:
        del self._keepers[credit]
        self.total -= count
        if self._waiting:
            waiting, self._waiting = self._waiting, set()
            for one in waiting:
                one.settle()


class CreditSender(Protocol):
    """The connection that sends window updates."""

    def flush_soon(self) -> None:
        """Something waits to be sent."""


@mypyc_attr(free_list_len=1)
class BodyCredit:
    def __init__(self, session: ServedSession, stream: SessionStream, held: Held, sender: CreditSender) -> None:
        self._session: Final = session
        self._stream: Final = stream
        self._held: Final = held
        self._sender: Final = sender
        self._kept = 0
        self.is_paused = False
        """Whether the server takes nothing for now."""
        self.owed = 0
        """Bytes that came, and that the stream has no credit for yet."""

    def receive(self, count: int, *, is_kept: bool) -> bool:
        """`count` bytes came. Returns whether they should be gathered no longer."""
        self.owed += count
        if not (is_kept and count):
            return False
        self._session.keep(self._stream, count)
        self._kept += count
        self._held.keep(self, count)
        return self._held.is_pressed

    def settle(self) -> None:
        """Give what is owed: for what was handed on, or is kept where there is room."""
        if not self.owed or self.is_paused:
            return
        if self._kept and not self._held.has_room(self):
            self._held.wait(self)
            return
        owed, self.owed = self.owed, 0
        self._session.consumed(self._stream, owed)
        self._sender.flush_soon()

    def taken(self) -> None:
        kept, self._kept = self._kept, 0
        if kept:
            self._held.release(self, kept)
        self.settle()

    def end(self) -> None:
        """The stream is over: the connection's window gets all of it back."""
        self.is_paused = False
        self.taken()
