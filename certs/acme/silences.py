"""When CAs want to be left alone with some names: what a rate limit says (RFC 8555 section 6.6), kept as long as the process."""

from collections.abc import Set as AbstractSet
from typing import Final

_MOST: Final = 1_000  # far above the identities of any proxy: names come and go with its configurations


class Silences:
    """By directory, which is the CA, and by the names of an order. Pure, for any thread."""

    def __init__(self) -> None:
        """Nobody has asked for silence."""
        self._until: dict[tuple[str, frozenset[str]], float] = {}

    def keep(self, directory: str, names: AbstractSet[str], until: float) -> None:
        """Leave a CA alone with these names until a time, in seconds of the clock that only goes forward."""
        if len(self._until) >= _MOST:
            del self._until[min(self._until, key=lambda one: self._until[one])]
        self._until[directory, frozenset(names)] = until

    def left(self, directory: str, names: AbstractSet[str], now: float) -> float:
        """For how many seconds more; 0 when the CA may be asked."""
        return max(0.0, self._until.get((directory, frozenset(names)), now) - now)
