"""In which order the keys of an identity are asked for a signature. Pure."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

# Tokens that take up to so much longer than the quickest one are used in turn with it: their times
# differ as much by chance.
_ALIKE: Final = 1.5
_ALIKE_SECONDS: Final = 0.005


class TokenView(Protocol):
    """What is known of a token (`token.SigningToken`)."""

    @property
    def is_closed(self) -> bool:
        """Whether it is used without a second thought."""

    @property
    def is_last_resort(self) -> bool:
        """Whether it is used if there is no better one."""

    @property
    def expected_seconds(self) -> float:
        """How long a signature takes that begins now; 0 if nothing is known."""


Key = TypeVar("Key")


def candidates(keys: Sequence[tuple[Key, TokenView]], turn: int | None = None) -> list[Key]:
    """The keys to ask, the first one first, without those whose token fails.

    They are in the order of preference. If they are to be used in turn, each `turn` begins with
    another key, and those of quicker tokens come first. Tokens that are close to failing come last.
    """
    start = 0 if turn is None or not keys else turn % len(keys)
    ordered = [*keys[start:], *keys[:start]]
    good = [one for one in ordered if one[1].is_closed]
    in_order = [key for key, _ in good] if turn is None else _quicker_first(good)
    return in_order + [key for key, token in ordered if token.is_last_resort]


def _quicker_first(keys: Sequence[tuple[Key, TokenView]]) -> list[Key]:
    """Those that are about as quick as the quickest stay in their order."""
    timed = [(key, token.expected_seconds) for key, token in keys]
    least = min((seconds for _, seconds in timed), default=0.0)
    limit = max(_ALIKE * least, least + _ALIKE_SECONDS)
    return [key for key, seconds in sorted(timed, key=lambda one: max(one[1], limit))]
