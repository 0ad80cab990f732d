"""What a start reports: what is really offered, not what was asked for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ListenerOffer:
    """What one listener offers."""

    name: str
    pq: str
    groups: str
    cipher_suites: str
    identities: Mapping[str, Sequence[str]]
    """Identity -> algorithms of its credentials."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a worker serves by, in its own words."""

    openssl: str
    libssl: str
    providers: Sequence[str]
    listeners: Sequence[ListenerOffer]

    def as_json(self) -> dict[str, Any]:
        """For the channel to the parent."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """Read what `as_json` wrote."""
        return cls(**{**facts, "listeners": [ListenerOffer(**one) for one in facts["listeners"]]})
