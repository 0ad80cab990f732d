"""Waits that CAs have requested for some names (RFC 8555 section 6.6), kept in memory."""

from collections.abc import Set as AbstractSet
from typing import Final

_MOST: Final = 1_000  # far above the identities of any proxy: names come and go with its configurations


class Silences:
    """By directory, which is the CA, and by the names of an order. Pure, for any thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, frozenset[str]], tuple[float, float]] = {}

    def keep(self, directory: str, names: AbstractSet[str], now: float, seconds: float) -> None:
        """A CA accepts no request for these names for `seconds` from `now` on (monotonic clock)."""
        if len(self._kept) >= _MOST:
            del self._kept[min(self._kept, key=lambda one: sum(self._kept[one]))]
        self._kept[directory, frozenset(names)] = now, seconds

    def left(self, directory: str, names: AbstractSet[str], now: float, heeds_seconds: float) -> float:
        """Seconds until the CA may be asked; at most `heeds_seconds` after it asked to wait."""
        since, seconds = self._kept.get((directory, frozenset(names)), (now, 0.0))
        return max(0.0, since + min(seconds, heeds_seconds) - now)
