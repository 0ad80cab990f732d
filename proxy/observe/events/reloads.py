"""Events of reloads. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config.values.problems import Problem
from proxy.figures.totals import how_many
from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class ReloadBegun(Event):
    """A reload begins that no command asked for: SIGHUP, or a watched file that changed."""

    event = "reloading"
    level = Level.INFORMATION

    cause: str
    """`SIGHUP` or `a change of a file`."""

    def sentence(self) -> str:
        return f"reloading: {self.cause}"


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """All workers serve with the new configuration."""

    event = "reloaded"
    level = Level.INFORMATION

    generation: int
    """Number of the configuration. Each attempt to reload and each rotated certificate or secret
    takes the next number."""
    changes: Sequence[str]
    """What changed, a line for each key."""

    def sentence(self) -> str:
        return f"reloaded: {how_many(len(self.changes), 'change')}, generation {self.generation}"


@dataclass(frozen=True, slots=True)
class ReloadFailed(Event):
    """A reload was refused. Nothing changed: all workers serve with the previous configuration.

    Correct what `problems` names, try `plexigate reload --dry-run`, then reload.
    """

    event = "reload_failed"
    level = Level.ACTION

    problems: Sequence[Problem]
    """Each error: `file`, `key`, `found`, `allowed`, `severity`, `line` and `column`, as `plexigate
    check --json` has them."""

    def as_json(self) -> dict[str, Any]:
        return {**Event.as_json(self), "problems": [problem.as_json() for problem in self.problems]}

    def sentence(self) -> str:
        return "reload failed, the previous configuration stays in use: " + "; ".join(map(str, self.problems))
