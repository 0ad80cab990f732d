"""What a worker really offers, which may be less than the configuration asks for. Pure."""

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
    """What a worker offers, and the OpenSSL that it uses."""

    openssl: str
    libssl: str
    providers: Sequence[str]
    listeners: Sequence[ListenerOffer]

    def as_json(self) -> dict[str, Any]:
        """Answer the fields, for the channel to the parent."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """Read what `as_json` wrote."""
        return cls(**{**facts, "listeners": [ListenerOffer(**one) for one in facts["listeners"]]})
