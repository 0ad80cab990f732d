"""The history of the last day, from the scrapes that are made anyway. Pure.

Alerts look at the whole proxy every ten seconds, and monitoring scrapes it. The history takes one
of those scrapes for each ten seconds, so a worker has no work with it. It begins with the process:
a restart begins a new one, a reload does not, and an upgrade hands it over.
"""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypedDict, TypeVar

from proxy.api.overview import LatencySummary, RefusalRow, RoutesSection, Samples
from proxy.figures.histogram import REQUEST_SECONDS
from proxy.observe.history.reading import Distribution, HistoryReading, added, reading, sample
from proxy.observe.history.refusals import Refusals
from proxy.observe.history.routes import RouteReading, route_readings, routes_since
from proxy.observe.history.series import Series
from proxy.observe.scrape import Scrape

if TYPE_CHECKING:
    from proxy.figures.snapshot import HistogramRow

_FINE_SECONDS: Final = 10.0
_COARSE_SECONDS: Final = 60.0
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0
_LATELY_MINUTES: Final = 5

Reading = TypeVar("Reading")
ServerReadings = Mapping[str, Distribution]
"""The times to the first byte of a response, by the address of the server."""


class HandedHistory(TypedDict):
    """What a process that replaces this one continues with."""

    fine: Samples
    coarse: Samples
    refusals: list[RefusalRow]


class History:
    """A sample for each ten seconds of the last hour, and for each minute of the last day."""

    def __init__(self) -> None:
        """The history begins with the first scrape."""
        self.fine: Final = Series(_FINE_SECONDS, round(_HOUR / _FINE_SECONDS))
        self.coarse: Final = Series(_COARSE_SECONDS, round(_DAY / _COARSE_SECONDS))
        self._refusals: Final = Refusals()
        self._routes: Final = LastMinutes[Mapping[str, RouteReading]]()
        self._servers: Final = LastMinutes[ServerReadings]()
        self._latest: HistoryReading | None = None
        self._latest_of_minute: HistoryReading | None = None

    @property
    def latest_at(self) -> float:
        """When the newest sample was taken, in UNIX seconds. 0 without a scrape."""
        return 0.0 if self._latest is None else self._latest.at

    def note(self, scrape: Scrape) -> None:
        """Take a scrape, if it is the first of its ten seconds."""
        if self._latest is not None and scrape.now < self._latest.at - _FINE_SECONDS:
            self._begin_anew()
        if not _is_new(scrape.now, self._latest, _FINE_SECONDS):
            return
        earlier, self._latest = self._latest, reading(scrape)
        if earlier is not None:
            self.fine.add(self._latest.at, sample(earlier, self._latest))
            self._refusals.note(earlier, self._latest)
        if not _is_new(scrape.now, self._latest_of_minute, _COARSE_SECONDS):
            return
        earlier, self._latest_of_minute = self._latest_of_minute, self._latest
        self._routes.add(scrape.now, route_readings(scrape))
        self._servers.add(scrape.now, server_readings(scrape))
        if earlier is not None:
            self.coarse.add(self._latest.at, sample(earlier, self._latest))

    def handed(self) -> HandedHistory:
        """What a process that replaces this one continues with, for JSON."""
        return {"fine": self.fine.since(0.0), "coarse": self.coarse.since(0.0), "refusals": self.refusals()}

    def take_over(self, document: Mapping[str, Any]) -> None:
        """Go on with what `handed` of an older process has returned."""
        self._begin_anew()
        self.fine.take_over(document["fine"])
        self.coarse.take_over(document["coarse"])
        self._refusals.take_over(document["refusals"])

    def refusals(self) -> list[RefusalRow]:
        """Why clients were refused lately, the latest first."""
        return self._refusals.listed()

    def routes(self, scrape: Scrape) -> RoutesSection:
        """How the requests of each route went lately, see `routes_since`."""
        return routes_since(self._routes.oldest, scrape.now, route_readings(scrape))

    def latencies(self, scrape: Scrape) -> dict[str, LatencySummary]:
        """How fast each server answered lately, see `latencies_since`."""
        return latencies_since(self._servers.oldest, server_readings(scrape))

    def _begin_anew(self) -> None:
        """The clock of the machine was set back: the times of the samples would not ascend."""
        for one in (self.fine, self.coarse, self._refusals, self._routes, self._servers):
            one.clear()
        self._latest = self._latest_of_minute = None


def _is_new(now: float, latest: HistoryReading | None, seconds: float) -> bool:
    # a sample of a moment would be all noise
    return latest is None or (now // seconds > latest.at // seconds and now - latest.at >= seconds / 2)


class LastMinutes(Generic[Reading]):
    """Keeps one reading for each of the last minutes."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Reading]] = deque(maxlen=_LATELY_MINUTES)

    def clear(self) -> None:
        self._kept.clear()

    def add(self, at: float, reading: Reading) -> None:
        """Add the reading of a minute. `at` is in UNIX seconds."""
        self._kept.append((at, reading))

    @property
    def oldest(self) -> tuple[float, Reading] | None:
        """The oldest reading and its time, None if there is none."""
        return self._kept[0] if self._kept else None


def server_readings(scrape: Scrape) -> ServerReadings:
    """Those of all workers together, those that have ended included."""
    rows: dict[str, list[HistogramRow]] = {}
    for snapshot in scrape.snapshots:
        for row in snapshot.get("server_seconds", ()):
            rows.setdefault(row["server"], []).append(row)
    return {server: Distribution(REQUEST_SECONDS, added(REQUEST_SECONDS, found)) for server, found in rows.items()}


def latencies_since(oldest: tuple[float, ServerReadings] | None, readings: ServerReadings) -> dict[str, LatencySummary]:
    """`p50` and `p99` in seconds by server since the oldest reading; None without a request."""
    earlier = oldest[1] if oldest is not None else {}
    lately = {server: one.since(earlier.get(server)) for server, one in readings.items()}
    return {server: {"p50": one.quantile(0.5), "p99": one.quantile(0.99)} for server, one in lately.items()}
