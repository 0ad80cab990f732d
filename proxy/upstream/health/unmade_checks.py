"""Counts checks of servers that this process could not make; logs at most once a minute. Pure."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

from proxy.observe.events.event import Tell
from proxy.observe.events.servers import HealthChecksMade, HealthChecksNotMade
from proxy.observe.scrape import UnmadeCheck

_QUIET_SECONDS: Final = 60.0

ServerName = tuple[str, str]


class UnmadeChecks:
    """Of one proxy, over all of its configurations."""

    def __init__(self, tell: Tell, clock: Callable[[], float]) -> None:
        """All were made so far. `clock` is monotonic."""
        self._tell = tell
        self._clock = clock
        self._told_at: float | None = None
        self.counts: Counter[ServerName] = Counter()
        self.reasons: dict[ServerName, str] = {}
        """Why the latest check of a server could not be made; only servers where it could not."""

    def as_rows(self) -> list[UnmadeCheck]:
        return [UnmadeCheck(*one, count, self.reasons.get(one)) for one, count in sorted(self.counts.items())]

    def follow(self, servers: Collection[ServerName]) -> None:
        self.counts = Counter({server: count for server, count in self.counts.items() if server in servers})
        self.reasons = {server: reason for server, reason in self.reasons.items() if server in servers}
        self._tell_end()

    def not_made(self, server: ServerName, reason: str) -> None:
        """A check of a server could not be made."""
        self.counts[server] += 1
        self.reasons[server] = reason
        now = self._clock()
        if self._told_at is not None and now < self._told_at + _QUIET_SECONDS:
            return
        self._told_at = now
        self._tell(HealthChecksNotMade(*server, reason, len(self.reasons), self.counts.total()))

    def made(self, server: ServerName) -> None:
        """A check of a server was made, with a good or a bad result."""
        if self.reasons.pop(server, None) is not None:
            self._tell_end()

    def _tell_end(self) -> None:
        if self._told_at is not None and not self.reasons:
            self._told_at = None
            self._tell(HealthChecksMade(self.counts.total()))
