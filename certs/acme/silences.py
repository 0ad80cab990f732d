"""When CAs want to be left alone with some names: what a rate limit says (RFC 8555 section 6.6), kept as long as the process."""

from collections.abc import Set as AbstractSet
from typing import Final

_MOST: Final = 1_000  # far above the identities of any proxy: names come and go with its configurations


class Silences:
    """By directory, which is the CA, and by the names of an order. Pure, for any thread."""

    def __init__(self) -> None:
        """Nobody has asked for silence."""
        self._kept: dict[tuple[str, frozenset[str]], tuple[float, float]] = {}

    def keep(self, directory: str, names: AbstractSet[str], now: float, seconds: float) -> None:
        """Leave a CA alone with these names for so long from `now` on, by the clock that only goes forward."""
        if len(self._kept) >= _MOST:
            del self._kept[min(self._kept, key=lambda one: sum(self._kept[one]))]
        self._kept[directory, frozenset(names)] = now, seconds

    def left(self, directory: str, names: AbstractSet[str], now: float, heeds_seconds: float) -> float:
        """For how many seconds more; 0 when the CA may be asked. No wish is heeded for longer than `heeds_seconds` since it was said."""
        since, seconds = self._kept.get((directory, frozenset(names)), (now, 0.0))
        return max(0.0, since + min(seconds, heeds_seconds) - now)
