"""Which workers cannot use a token that the parent finds well. Pure.

A module may know only the tokens that were there when it was loaded, or have missed one of them; a
lost session may stay lost for a whole process. A worker loads the module anew then, and keeps its
connections. One that still cannot use the token is replaced where an identity depends on it. One
whose successors fare no better (it may be another user, who has no right to the device) is replaced
more and more rarely: its connections are worth more.
"""

from collections.abc import Sequence
from typing import Final

# Half a second between them, without the time in which the worker probes: it does so at the first
# of them, and anew a second later.
_VERDICTS: Final = 6
_FIRST_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 3_600.0


class Blindness:
    """Counts verdicts. Times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        """Every worker counts as able at first."""
        self._verdicts: dict[tuple[int, str], int] = {}
        """In a row, by process and token."""
        self._said: set[tuple[int, str]] = set()
        self._pauses: dict[tuple[int, str], tuple[float, float]] = {}
        """By slot and token: when its worker may be replaced again, and the pause that comes then.
        """

    def found_well(self, token: str, troubled: Sequence[int]) -> list[int]:
        """The parent has found a token well that these processes cannot use.

        Answers which of them are blind.
        """
        for process in troubled:
            self._verdicts[process, token] = self._verdicts.get((process, token), 0) + 1
        return [process for process in troubled if self._verdicts[process, token] >= _VERDICTS]

    def is_news(self, process: int, token: str) -> bool:
        """Whether the log does not say yet that this process is blind."""
        is_news = (process, token) not in self._said
        self._said.add((process, token))
        return is_news

    def may_replace(self, slot: int, token: str, now: float) -> bool:
        """Whether the worker of a slot may be replaced; its successors wait after that."""
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
        """The token was away: forget which workers could not use it, they had a reason."""
        self._pauses = {place: one for place, one in self._pauses.items() if place[1] != token}
