"""How well a token signs for handshakes. Pure."""

from collections import deque
from typing import Final

_FAILURES_IN_A_ROW: Final = 3
# The number of latest signatures that count: a token that fails every second time is no use either.
_WINDOW: Final = 20
_FAILURES_IN_WINDOW: Final = 10
# A race is lost now and then by chance.
_RACES_LOST_IN_A_ROW: Final = 5


class TrackRecord:
    """Begins again each time the breaker opens."""

    def __init__(self) -> None:
        self.good = 0
        """Signatures that came in time, since the breaker closed."""
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._failures_in_a_row = 0
        self._races_lost = 0

    def succeeded(self) -> None:
        self.good += 1
        self._recent.append(True)
        self._failures_in_a_row = self._races_lost = 0

    def failed(self) -> bool:
        """A signature failed, or never came; whether that is one too many."""
        self._recent.append(False)
        self._failures_in_a_row += 1
        return self._failures_in_a_row >= _FAILURES_IN_A_ROW or self._recent.count(False) >= _FAILURES_IN_WINDOW

    def outrun(self) -> bool:
        """Another token was quicker; whether that is once too often."""
        self._races_lost += 1
        return self._races_lost >= _RACES_LOST_IN_A_ROW
