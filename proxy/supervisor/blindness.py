"""Which workers cannot use a token that the parent finds well. Pure.

A module may know only the tokens that were there when it was loaded, or have missed one of them; a lost session may stay lost for a
whole process. Such a worker is replaced. One whose successors fare no better (it may be another user, who has no right to the device)
is replaced more and more rarely: its connections are worth more.
"""

from collections.abc import Sequence
from typing import Any, Final

# Half a second between them, without the time in which the worker probes: it does so at the first of them.
_VERDICTS: Final = 3
_FIRST_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 3_600.0


def report(slot: int, process: int, token: str) -> tuple[dict[str, Any], str]:
    """The event of a worker that is replaced, and its line."""
    event = {"event": "worker_blind", "slot": slot, "pid": process, "token": token}
    return event, f"worker {slot} (process {process}) cannot use the token {token}, which is well: it is replaced"


class Blindness:
    """Counts verdicts. Times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        """Nobody is blind."""
        self._verdicts: dict[tuple[int, str], int] = {}
        """In a row, by process and token."""
        self._pauses: dict[tuple[int, str], tuple[float, float]] = {}
        """By slot and token: when its worker may be replaced again, and the pause that comes then."""

    def found_well(self, token: str, troubled: Sequence[tuple[int, int]], now: float) -> list[int]:
        """The parent has found a token well; `troubled` are slot and process of workers that do not. Answers who is to be replaced."""
        blind = []
        for slot, process in troubled:
            count = self._verdicts[process, token] = self._verdicts.get((process, token), 0) + 1
            allowed, pause = self._pauses.get((slot, token), (now, _FIRST_PAUSE_SECONDS))
            if count >= _VERDICTS and now >= allowed:
                self._pauses[slot, token] = (now + pause, min(2 * pause, _LONGEST_PAUSE_SECONDS))
                blind.append(process)
        return blind

    def forget_worker(self, process: int, token: str) -> None:
        """It works there, or is gone."""
        self._verdicts.pop((process, token), None)

    def forget(self, token: str) -> None:
        """It was away: whoever could not use it had a reason."""
        self._pauses = {place: one for place, one in self._pauses.items() if place[1] != token}
