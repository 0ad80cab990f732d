"""Tells the log and the service manager of the start and of each reload, and counts reloads."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from config.values.problems import ConfigError
from proxy.figures.totals import how_many
from proxy.observe.events.event import Tell
from proxy.observe.events.reloads import ReloadBegun, Reloaded, ReloadFailed
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reporting import wall_clock

if TYPE_CHECKING:
    from config.diff import Change


class ServiceManager(Protocol):
    """The messages to systemd: a `Notifier`."""

    def ready(self, status: str) -> None:
        """The proxy serves. `status` is the line of `systemctl status`."""

    def reloading(self, monotonic_usec: int) -> None:
        """A reload begins at this time of CLOCK_MONOTONIC, in microseconds."""


class ServingWorkers(Protocol):
    """The workers that serve: a `Workforce`."""

    @property
    def workers(self) -> Sequence[object]:
        """One entry for each worker, by slot."""


class Announcements:
    """Announces each step of the proxy's life that an operator waits for."""

    def __init__(self, notifier: ServiceManager, served: ServedEdition, workforce: ServingWorkers, tell: Tell) -> None:
        self._notifier = notifier
        self._served = served
        self._workforce = workforce
        self._tell = tell
        self.counts: Counter[str] = Counter()
        """Reloads by result: "ok" or "failed"."""
        self.configured_at = wall_clock()
        """When the served configuration began to serve, in UNIX seconds."""

    def started(self) -> None:
        self._notifier.ready(f"serving with {self._workers}")

    def begun(self, cause: str) -> None:
        """A reload begins by a signal, or because a file has changed."""
        self._tell(ReloadBegun(cause))

    @contextlib.contextmanager
    def to_service_manager(self) -> Iterator[None]:
        """Tell the service manager that a reload begins, and how it ended.

        sd_notify(3): RELOADING=1, then READY=1 even after a failure. So `systemctl reload` cannot
        fail, and the line of `systemctl status` reports a failure.
        """
        failed = self.counts["failed"]
        self._notifier.reloading(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000)
        try:
            yield
        finally:
            verdict = "" if self.counts["failed"] == failed else "the last reload was refused, see the log; "
            number = self._served.edition.number
            self._notifier.ready(f"{verdict}serving with {self._workers}, generation {number}")

    def failed(self, error: ConfigError) -> None:
        """A reload has failed. The old edition continues to serve."""
        self.counts["failed"] += 1
        self._tell(ReloadFailed([problem for problem in error.problems if problem.is_error]))

    def succeeded(self, edition: Edition, changes: "Sequence[Change]") -> None:
        self.counts["ok"] += 1
        self.configured_at = wall_clock()
        self._tell(Reloaded(edition.number, [str(one) for one in changes]))

    @property
    def _workers(self) -> str:
        return how_many(len(self._workforce.workers), "worker")
