"""Slow computations that several requests wait for at the same time: each is done once."""

from collections.abc import Callable
from typing import Final

from proxy.downstream.slow_work import Computing, WorkOutcome
from proxy.limits.fair_queue import NoRoom


class SharedWork:
    """The computations under way, by what they compute."""

    __slots__ = ("_waiting", "_work")

    def __init__(self, work: Computing) -> None:
        """`work` does them."""
        self._work: Final = work
        self._waiting: dict[bytes, list[WorkOutcome]] = {}

    def join(self, key: bytes, outcome: WorkOutcome) -> bool:
        """Wait for the computation with this key, if it is under way. Returns whether it is."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return False
        waiting.append(outcome)
        return True

    def begin(self, key: bytes, network: bytes, compute: Callable[[], bytes], outcome: WorkOutcome) -> NoRoom | None:
        """Compute when it is this network's turn. None means that it was queued.

        It is computed even if its client leaves, because others may wait for it too.
        """

        def done(result: bytes | None, error: Exception | None) -> None:
            for one in self._waiting.pop(key):
                one(result, error)

        room = self._work.begin(network, lambda: True, compute, done)
        if room is None:
            self._waiting[key] = [outcome]
        return room
