"""Checks of servers that this process could not make: counted, and said in the log no more than once a minute. Pure."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

from proxy.observe.scrape import UnmadeCheck

_QUIET_SECONDS: Final = 60.0

ServerName = tuple[str, str]
"""Upstream and server."""


class UnmadeChecks:
    """Of one proxy, over all of its configurations."""

    def __init__(self, tell: Callable[[dict[str, Any], str], None], clock: Callable[[], float]) -> None:
        """All were made so far. `tell` logs an event with its line; `clock` is monotonic."""
        self._tell = tell
        self._clock = clock
        self._told_at: float | None = None
        self.counts: Counter[ServerName] = Counter()
        """How many, by server."""
        self.reasons: dict[ServerName, str] = {}
        """Why the latest check of a server could not be made; none of a server whose latest one could."""

    def as_rows(self) -> list[UnmadeCheck]:
        """What there is to tell, for a scrape."""
        return [UnmadeCheck(*one, count, self.reasons.get(one)) for one, count in sorted(self.counts.items())]

    def follow(self, servers: Collection[ServerName]) -> None:
        """Forget all but these."""
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
        count = len(self.reasons)
        event = {"event": "health_checks_not_made", "upstream": server[0], "server": server[1], "detail": reason}
        whose = f"{server[1]} of upstream {server[0]}" + (f" and {count - 1} more" if count > 1 else "")
        line = f"the health check of {whose} could not be made: {reason}; what was found before counts until it can"
        self._tell({**event, "servers": count, "not_made": self.counts.total()}, line)

    def made(self, server: ServerName) -> None:
        """A check of a server was made, whatever it has found."""
        if self.reasons.pop(server, None) is not None:
            self._tell_end()

    def _tell_end(self) -> None:
        if self._told_at is not None and not self.reasons:
            self._told_at = None
            total = self.counts.total()
            event = {"event": "health_checks_made", "not_made": total}
            self._tell(event, f"all health checks are made again; {total} could not be made so far")
