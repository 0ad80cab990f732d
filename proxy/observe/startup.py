"""What a worker really offers, which may be less than the configuration asks for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenerOffer:
    name: str
    pq: str
    groups: str
    cipher_suites: str
    identities: Mapping[str, Sequence[str]]
    """Identity -> algorithms of its credentials."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a worker offers, and the OpenSSL that it uses."""

    hot_path: str
    """`compiled` or `interpreted`."""
    openssl: str
    libssl: str
    providers: Sequence[str]
    listeners: Sequence[ListenerOffer]
