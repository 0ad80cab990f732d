"""When a process returns the memory that it has freed. Pure.

Theory of operation. glibc keeps what is freed: after a flood a worker would stay as large as it was
at the worst moment. To return it (`malloc_trim`) stops the loop for a quarter of a millisecond for
each megabyte, and for some milliseconds if there is nothing to return; to ask how much there is
takes as long. So it is tried while the process is larger than it once was: soon after a try that
was worth it, and later and later after tries that were not. When many connections have ended it is
tried at once, so that a crowd that leaves is returned in parts. The loop stands still for half a
percent of the time at most.
"""

from typing import Final

# Less than this is not worth a try.
_LARGER: Final = 1.1
_WORTH_IT: Final = 0.05
# The shortest and the longest time between two tries: all is returned within a minute of a flood.
_LEAST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 32.0
_OF_TIME: Final = 200.0
# The least number of connections in a crowd; it leaves when a quarter of them has ended.
_CROWD: Final = 64
_LEFT: Final = 0.75


class FreedMemory:
    def __init__(self, resident: int) -> None:
        """The process holds `resident` bytes before it serves anybody."""
        self._least = resident
        self._connections = 0
        """The most since the last try."""
        self._not_before = 0.0
        self._rests_until = 0.0
        self._pause = _LEAST_SECONDS

    def may_be_worth_it(self, resident: int, connections: int, now: float) -> bool:
        """Whether to return it now, with `resident` bytes and `connections` of clients."""
        self._least = min(self._least, resident)
        self._connections = max(self._connections, connections)
        if resident <= self._least * _LARGER or now < self._rests_until:
            return False
        is_leaving = self._connections >= _CROWD and connections < self._connections * _LEFT
        return is_leaving or now >= self._not_before

    def returned(self, before: int, after: int, seconds: float, now: float) -> None:
        """It was tried, which took `seconds`, with these resident bytes before and after it."""
        self._connections = 0
        is_worth_it = before - after > before * _WORTH_IT
        self._pause = _LEAST_SECONDS if is_worth_it else min(2 * self._pause, _MOST_SECONDS)
        self._not_before = now + self._pause
        self._rests_until = now + seconds * _OF_TIME
