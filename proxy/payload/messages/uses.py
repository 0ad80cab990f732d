"""Counters of messages; the uses and revocations that the generations of a process share. Pure."""

from collections import Counter
from collections.abc import Iterable


class PayloadUses:
    """Counts since the last `take`, and revocations.

    A revocation also ends what an earlier generation has begun.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self.revoked: set[tuple[str, int]] = set()
        """Rings and versions."""

    def revoke(self, versions: Iterable[tuple[str, int]]) -> None:
        """Accept nothing under these rings and versions any more."""
        self.revoked.update(versions)

    def count(self, ring: str, version: int) -> None:
        self._counts[ring, version] += 1

    def take(self) -> list[tuple[str, int, int]]:
        """Ring, version and count of what was counted since the last call."""
        counts, self._counts = self._counts, Counter()
        return [(ring, version, count) for (ring, version), count in sorted(counts.items())]


class MessageCounts:
    """Messages of one route under one ring, or in sessions.

    They are requests, answers, and single messages of WebSockets.
    """

    def __init__(self) -> None:
        self.opened = 0
        """Those that were complete and good."""
        self.sealed = 0
