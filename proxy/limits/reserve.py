"""The descriptors that the parent keeps for its most important work. Pure.

To replace a worker takes a socket pair, a pidfd, the pipes of a new process and copies of what it
is given. A log is reopened, a reload reads files, an operator comes to the admin socket. None of
these asks whether there is room, so the less important users do: health checks stop at half of the
reserve, and the port for monitoring refuses untrusted clients before the reserve begins. As in a
worker (`scarcity`), the number that the kernel would give to the next descriptor tells how many are
in use.
"""

from collections.abc import Callable
from typing import Final, Protocol

# The log, a reload, the admin socket (`doors.LOCAL.when_short`), and what libraries open briefly.
_COMMON: Final = 32
# A worker that is replaced while the one before it drains: nine of each were counted.
_FOR_A_WORKER: Final = 10
# With few descriptors in all, the rest needs some too.
_LARGEST: Final = 2


class DescriptorFigures(Protocol):
    """What this process has taken, see `machine`."""

    @property
    def descriptor_limit(self) -> int: ...

    @property
    def lowest_free_descriptor(self) -> int: ...


class DescriptorReserve:
    def __init__(self, figures: DescriptorFigures, workers: Callable[[], int]) -> None:
        """`workers` says how many there are to replace."""
        self._figures = figures
        self._workers = workers

    @property
    def size(self) -> int:
        most = self._figures.descriptor_limit // _LARGEST
        return min(most, _COMMON + _FOR_A_WORKER * self._workers())

    def is_short(self) -> bool:
        return self._left() <= self.size

    def why_not_check(self) -> str | None:
        """What keeps this process from asking a server how it is: half of the reserve is gone."""
        left = self._left()
        if left > self.size // 2:
            return None
        return f"{left} descriptors are left, which are kept for workers, the log and operators: see LimitNOFILE"

    def _left(self) -> int:
        figures = self._figures
        return figures.descriptor_limit - figures.lowest_free_descriptor
