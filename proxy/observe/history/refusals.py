"""Why clients were refused lately: the reasons whose counts have grown between readings. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from proxy.api.overview import RefusalRow
from proxy.limits.reasons import ConnectionReason, RequestReason
from proxy.observe.history.reading import HistoryReading
from proxy.tls.handshake.results import FailureReason

MOST_REFUSALS: Final = 200
# What ended a connection, a request or a WebSocket without a refusal of ours.
_LEFT: Final = frozenset({FailureReason.CLIENT_LEFT, RequestReason.GIVEN_UP, RequestReason.WEBSOCKET})
_TLS: Final = frozenset(map(str, FailureReason)) | {ConnectionReason.TLS_BROKEN, ConnectionReason.RECORD_FLOOD}
_LIMITS: Final = frozenset(map(str, ConnectionReason))
_SERVERS: Final = frozenset({RequestReason.UPSTREAM})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A listener refused `count` times for a reason. `at` is the end of that time, in UNIX seconds.

    `area` is one of `tls`, `limits`, `http`, `server`, `client`.
    """

    at: float
    listener: str
    reason: str
    area: str
    count: int


class Refusals:
    """Keeps the latest."""

    def __init__(self) -> None:
        self._kept: deque[Refusal] = deque(maxlen=MOST_REFUSALS)

    def clear(self) -> None:
        self._kept.clear()

    def note(self, earlier: HistoryReading, later: HistoryReading) -> None:
        """Add what was refused between two readings."""
        self._kept.extend(_grown(later.at, earlier.failures, later.failures))

    def take_over(self, document: Iterable[Mapping[str, Any]]) -> None:
        """Begin with what `listed` of another list has returned."""
        self._kept.extend(reversed([Refusal(**one) for one in document]))

    def listed(self) -> list[RefusalRow]:
        """The latest first, as documents. Other threads may ask."""
        return [cast("RefusalRow", asdict(one)) for one in reversed(list(self._kept))]


def _grown(
    at: float, earlier: Mapping[tuple[str, str], int], later: Mapping[tuple[str, str], int]
) -> Iterator[Refusal]:
    for (listener, reason), count in sorted(later.items()):
        new = count - earlier.get((listener, reason), 0)
        if new > 0:
            yield Refusal(round(at, 1), listener, reason, _area(reason), new)


def _area(reason: str) -> str:
    if reason in _LEFT:
        return "client"
    if reason in _SERVERS:
        return "server"
    if reason in _TLS:
        return "tls"
    return "limits" if reason in _LIMITS else "http"
