"""What the parent reports about the process: events for the log, each with its sentence."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from config.problems import Problem
from proxy.supervisor.log_target import LogTarget

Tell = Callable[[dict[str, Any], str], None]
"""Logs an event with its line."""


class Reporting:
    """Writes to the parent's own log."""

    def __init__(self, target: LogTarget) -> None:
        """`target` stays open for as long as anything is reported."""
        self._target = target

    def tell(self, event: dict[str, Any], line: str) -> None:
        """Log an event about the process."""
        self.tell_lines(event, [line])

    def tell_lines(self, event: dict[str, Any], lines: list[str]) -> None:
        """Log an event that takes several lines in a log of text."""
        self._target.log.event(wall_clock(), event, lines)

    def warn(self, problems: Iterable[Problem]) -> None:
        """Log each problem once, as a warning: the parent and a worker may find the same."""
        for one in {(one.key, one.found): one for one in problems}.values():
            self.tell({"event": "warning", **one.as_json()}, str(one))

    def unexpected(self, error: BaseException) -> None:
        """Log an error that no code handles; the process goes on."""
        name = type(error).__name__
        self.tell({"event": "error", "error": name, "detail": str(error)}, f"unexpected {name}: {error}")


def wall_clock() -> float:
    """UNIX seconds, for logs and figures."""
    return time.time()  # noqa: TID251 - a driver
