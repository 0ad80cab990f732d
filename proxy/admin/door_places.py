"""How many connections the admin server has at a time, and which one makes room for another.

A connection has one deadline at a time: first to send a complete request, then to read its answer
and to ask again. Sending octets does not extend a deadline. `page.open_pages` ends that of a page.

The Unix socket has its own room, so that untrusted clients on TCP do not keep an operator out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.admin.visitors import Stage, Visitor, who_goes
from proxy.observe.events.event import Tell
from proxy.observe.events.process import AdminCrowded

# A request has some hundred octets: an honest client has sent them by now.
HEAD_SECONDS: Final = 5.0
# After an answer: to read the rest of it, and to ask again. Monitoring that comes every 15 seconds,
# as most does, keeps its connection.
LINGER_SECONDS: Final = 20.0
# A new connection keeps its place for so long, even if many others come: a request arrives with its
# connection or a moment later. The time begins when the process has looked for the request: a busy
# machine may have stopped it until then. A full room of 32 still accepts 1,600 connections a
# second. Further ones wait in the kernel.
_GRACE_SECONDS: Final = 0.02
_QUIET_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How many connections there may be at a time: `most` of all peers, `share` of one.

    If `answer_seconds` is None, an answer may take as long as it needs.
    """

    most: int
    share: int
    when_short: int
    """Replaces `most` while descriptors are short."""
    answer_seconds: float | None
    head_seconds: float = HEAD_SECONDS
    linger_seconds: float = LINGER_SECONDS
    grace_seconds: float = _GRACE_SECONDS


# A monitoring system has one or two connections, and a load balancer has one. So there is room for
# more than a dozen of them, and none of them needs more than a quarter of it. An answer is made
# within three seconds (`control.scrape`), and read in less than that.
OVER_TCP: Final = RoomLimits(most=32, share=8, when_short=2, answer_seconds=30.0)
# All connections are of one user, or root. A script may ask many things at once. A reload takes
# minutes, and so does a rotation that tells its steps.
LOCAL: Final = RoomLimits(most=32, share=32, when_short=8, answer_seconds=None)

# At the other end are our workers: each has a viewer for every connection, who showed a token.
PAGE: Final = RoomLimits(most=64, share=16, when_short=4, answer_seconds=30.0)


class DoorPlaces:
    """The connections of one socket kind: TCP or Unix."""

    def __init__(self, name: str, limits: RoomLimits, is_short: Callable[[], bool], tell: Tell) -> None:
        """The places begin empty.

        The log calls them `name`. `is_short` says whether descriptors are short.
        """
        self.limits = limits
        self._name = name
        self._is_short = is_short
        self._tell = tell
        self._present: dict[Visitor, Callable[[], None]] = {}
        """What sends each of them away."""
        self._told_at: float | None = None
        self.sent_away = 0
        """How many connections had to make room so far."""

    def __len__(self) -> int:
        return len(self._present)

    def wait(self, now: float) -> float:
        """Seconds until a connection may have to make room for a newcomer.

        A connection that has just come stays until its request could be read.
        """
        if len(self._present) < (self.limits.when_short if self._is_short() else self.limits.most):
            return 0.0
        silent = [one.safe_until for one in self._present if one.stage is Stage.SILENT]
        return max(0.0, min(min(silent) - now, self.limits.grace_seconds)) if silent else 0.0

    def has_room_for(self, newcomer: Visitor) -> bool:
        """Make room, if need be by closing another connection. Tells whether there is room."""
        most = self.limits.when_short if self._is_short() else self.limits.most
        while (victim := who_goes(self._present, newcomer, most, self.limits.share)) is not None:
            self._crowded(newcomer.since)
            if victim is newcomer:
                return False
            self._present.pop(victim)()
        return True

    def take_in(self, visitor: Visitor, send_away: Callable[[], None]) -> None:
        """Add a connection. There is room for it."""
        self._present[visitor] = send_away

    def could_ask(self, visitor: Visitor, now: float) -> None:
        """The process has looked for octets of a connection for the first time."""
        visitor.safe_until = now + self.limits.grace_seconds

    def left(self, visitor: Visitor) -> None:
        self._present.pop(visitor, None)

    def _crowded(self, now: float) -> None:
        self.sent_away += 1
        if self._told_at is not None and now < self._told_at + _QUIET_SECONDS:
            return
        self._told_at = now
        self._tell(AdminCrowded(self._name, len(self), self.sent_away))
