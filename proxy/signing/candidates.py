"""In which order the keys of an identity are asked for a signature. Pure."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class BreakerView(Protocol):
    """What the breaker of a token says (`breaker.Breaker`)."""

    @property
    def is_closed(self) -> bool:
        """Whether it is used without a second thought."""

    @property
    def is_last_resort(self) -> bool:
        """Whether it is used if there is no better one."""


Key = TypeVar("Key")


def candidates(keys: Sequence[tuple[Key, BreakerView]], turn: int = 0) -> list[Key]:
    """The keys to ask, the first one first, without those whose token fails.

    They are in the order of preference. If they are to be used in turn, each `turn` begins with
    another key (0: always the first). Tokens that are only slow come last.
    """
    start = turn % len(keys) if keys else 0
    ordered = [*keys[start:], *keys[:start]]
    good = [key for key, standing in ordered if standing.is_closed]
    return good + [key for key, standing in ordered if standing.is_last_resort]
