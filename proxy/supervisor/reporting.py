"""What the parent reports about the process: events for the log."""

import time
from collections.abc import Callable, Iterable

from config.values.problems import Problem
from proxy.observe.events.event import Event
from proxy.observe.events.process import ConfigurationWarning, UnexpectedError
from proxy.supervisor.log_target import LogTarget


class Reporting:
    """Writes to the parent's own log."""

    def __init__(self, target: LogTarget) -> None:
        """`target` stays open while this is in use."""
        self._target = target
        self._hear: Callable[[Event], None] | None = None

    def listen(self, hear: Callable[[Event], None]) -> None:
        """Let `hear` have each event too, after it was logged."""
        self._hear = hear

    def tell(self, event: Event) -> None:
        """Log an event about the process."""
        self._target.log.event(wall_clock(), event)
        if self._hear is not None:
            self._hear(event)

    def warn(self, problems: Iterable[Problem]) -> None:
        """Log each problem once, as a warning: the parent and a worker may both find it."""
        for one in {(one.key, one.found): one for one in problems}.values():
            self.tell(ConfigurationWarning.of(one))

    def unexpected(self, error: BaseException) -> None:
        """Log an error that no code handles. The process continues."""
        self.tell(UnexpectedError.of(error))


def wall_clock() -> float:
    """UNIX seconds, for logs and figures."""
    return time.time()  # noqa: TID251 - a driver
