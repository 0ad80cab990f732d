"""Which workers cannot use a token that the parent finds well. Pure.

A module may know only the tokens that existed when it was loaded, or may have missed one of them. A
lost session may stay lost for a whole process. The worker then loads the module again and keeps its
connections. If it still cannot use the token, and an identity depends on it, the worker is
replaced. If its successors cannot use the token either, they are replaced more and more rarely:
their connections are worth more. The user of the workers may have no right to the device, for
instance.
"""

from collections.abc import Sequence
from typing import Final

# They come every half second, not counting the time in which the worker probes. It probes at the
# first of them, and again a second later.
_VERDICTS: Final = 6
_FIRST_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 3_600.0


class Blindness:
    """Counts verdicts. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[int, str], int] = {}
        """Verdicts in a row, by process and token."""
        self._said: set[tuple[int, str]] = set()
        self._pauses: dict[tuple[int, str], tuple[float, float]] = {}
        """When a worker may be replaced again and the pause after that, by slot and token."""

    def found_well(self, token: str, troubled: Sequence[int]) -> list[int]:
        """The parent finds a token well that these cannot use. Returns those that are blind."""
        for process in troubled:
            self._verdicts[process, token] = self._verdicts.get((process, token), 0) + 1
        return [process for process in troubled if self._verdicts[process, token] >= _VERDICTS]

    def is_news(self, process: int, token: str) -> bool:
        """Whether the log still has to say that this process is blind."""
        is_news = (process, token) not in self._said
        self._said.add((process, token))
        return is_news

    def may_replace(self, slot: int, token: str, now: float) -> bool:
        """Whether the worker of a slot may be replaced now. If so, its successors must wait."""
        allowed, pause = self._pauses.get((slot, token), (now, _FIRST_PAUSE_SECONDS))
        if now < allowed:
            return False
        self._pauses[slot, token] = (now + pause, min(2 * pause, _LONGEST_PAUSE_SECONDS))
        return True

    def forget_worker(self, process: int, token: str) -> None:
        """The token works in that worker, or the worker is gone."""
        self._verdicts.pop((process, token), None)
        self._said.discard((process, token))

    def forget(self, token: str) -> None:
        """The token was unavailable: forget who could not use it, as they had a reason."""
        self._pauses = {place: one for place, one in self._pauses.items() if place[1] != token}
