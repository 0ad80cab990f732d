"""The readings of the last minutes, to tell what has happened lately. Pure."""

from collections import deque
from typing import Final, Generic, TypeVar

_MINUTES: Final = 5

Reading = TypeVar("Reading")


class LastMinutes(Generic[Reading]):
    """Keeps one reading for each of the last minutes."""

    def __init__(self) -> None:
        """There are none."""
        self._kept: deque[tuple[float, Reading]] = deque(maxlen=_MINUTES)

    def clear(self) -> None:
        """Forget all readings."""
        self._kept.clear()

    def add(self, at: float, reading: Reading) -> None:
        """Add the reading of a minute. `at` is in UNIX seconds."""
        self._kept.append((at, reading))

    @property
    def oldest(self) -> tuple[float, Reading] | None:
        """The oldest reading and its time, None if there is none."""
        return self._kept[0] if self._kept else None
