"""Where requests are written down, and which of them get a line in the log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.limits.reasons import ConnectionReason
from proxy.limits.shared import SharedTable
from proxy.observe.counts.counters import Counters
from proxy.observe.events.event import Event
from proxy.observe.logs.access_log import RequestRecord

_ERRORS: Final = 400


def _unwritten(_event: Event) -> None:
    pass


def _uncounted(_listener: str, _reason: ConnectionReason, _client: bytes) -> None:
    pass


class LogSampling:
    """Of busy routes one in N successes is logged."""

    def __init__(self) -> None:
        """The first success of each route is logged."""
        self._seen: dict[str | None, int] = {}

    def takes(self, record: RequestRecord, samples: Mapping[str, int]) -> bool:
        """Whether a request gets its line, by how many each route has one in. It says so then."""
        every = samples.get(record.route or "", 0)
        if not every or not _is_success(record):
            return True
        number = self._seen.get(record.route, 0)
        self._seen[record.route] = number + 1
        if number % every:
            return False
        record.sample = every
        return True


@dataclass(frozen=True, slots=True)
class RequestLedger:
    """The log, the figures, and the rates of all workers."""

    log: Callable[[RequestRecord], None]
    """Writes a line about a request, which is counted already."""
    counters: Counters
    shared: SharedTable
    log_event: Callable[[Event], None] = _unwritten
    """Writes a line about a connection, about guesses of a token, or about the spool."""
    count_shed: Callable[[str, ConnectionReason, bytes], None] = _uncounted
    """Counts tunnels that made room: listener, reason and client."""
    sampling: LogSampling = field(default_factory=LogSampling)


def _is_success(record: RequestRecord) -> bool:
    """Whether a request was answered without an error; a WebSocket is a matter of its own."""
    return record.error is None and record.status < _ERRORS and record.messages is None
