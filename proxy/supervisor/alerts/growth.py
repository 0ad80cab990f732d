"""Counters whose growth is a concern for some time. Pure."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

HELD_SECONDS: Final = 600.0
"""How long a growth is a concern: a second one within ten minutes belongs to the same fault."""


class HandedGrowth(TypedDict):
    """What a process that replaces this one continues with."""

    values: dict[str, int]
    grown: dict[str, tuple[float, int]]
    """Seconds since the latest growth, and the value before the trouble began."""


class Growth:
    """Remembers the values of counters at each look, and when each has grown."""

    def __init__(self, held_seconds: float = HELD_SECONDS) -> None:
        """The first value of a counter counts from zero: it is that of a new process."""
        self._held_seconds = held_seconds
        self._values: dict[str, int] = {}
        self._grown: dict[str, tuple[float, int]] = {}
        """The latest growth, and the value of the counter before the trouble began."""

    def handed(self, ticks: float) -> HandedGrowth:
        """The values and what has grown lately, for a process that replaces this one."""
        grown = {name: (ticks - at, began_with) for name, (at, began_with) in self._grown.items()}
        return {"values": self._values, "grown": grown}

    def take_over(self, document: Mapping[str, Any], ticks: float) -> None:
        """Go on with what `handed` of an older process has returned."""
        self._values = {str(name): int(value) for name, value in document["values"].items()}
        self._grown = {str(name): (ticks - age, int(before)) for name, (age, before) in document["grown"].items()}

    def look(self, values: Mapping[str, int], ticks: float) -> dict[str, int]:
        """The counters that have grown lately, and by how much since that began."""
        for name, value in values.items():
            before = self._values.get(name, 0)
            if value > before:
                _, began_with = self._grown.get(name, (ticks, before))
                self._grown[name] = ticks, began_with
            self._values[name] = max(value, before)  # a worker that is leaving may be missing for a moment
        self._grown = {name: one for name, one in self._grown.items() if ticks - one[0] < self._held_seconds}
        return {name: self._values[name] - began_with for name, (_, began_with) in self._grown.items()}
