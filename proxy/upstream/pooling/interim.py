"""How many interim responses (1xx) a server may send before the final one. Pure."""

from collections.abc import Callable
from typing import Final

# A server that shows its progress does so every few seconds.
_PER_SECOND: Final = 1.0


class InterimResponses:
    """Counts the interim responses to one request at a time.

    102 and 103 may continue, slowly, while the work does (RFC 2518 10.1).
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most: Final = most
        self._clock: Final = clock
        self._last = 0.0
        self.count = 0.0
        """Set it to 0 for the next request."""

    def may_come(self) -> bool:
        """Count one. Returns whether it may continue."""
        now = self._clock()
        self.count = max(0.0, self.count - (now - self._last) * _PER_SECOND) + 1
        self._last = now
        return self.count <= self._most
