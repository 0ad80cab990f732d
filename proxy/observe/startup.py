"""What a start reports: what is really offered, not what was asked for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from config.issuers import PLAIN_LISTENER


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


Addresses = Mapping[str, Sequence[str]]
"""The bound addresses of each listener."""


def ready_event(offers: Offers, addresses: Addresses, metrics: Sequence[str], workers: int) -> dict[str, Any]:
    """The event that says that connections are accepted."""
    return {
        "event": "ready",
        "workers": workers,
        "openssl": offers.openssl,
        "libssl": offers.libssl,
        "providers": list(offers.providers),
        "metrics": list(metrics),
        "listeners": {name: list(several) for name, several in addresses.items()},
        "offers": {
            one.name: {
                "pq": one.pq,
                "groups": one.groups,
                "cipher_suites": one.cipher_suites,
                "identities": {name: list(algorithms) for name, algorithms in one.identities.items()},
            }
            for one in offers.listeners
        },
    }


def ready_lines(offers: Offers, addresses: Addresses, metrics: Sequence[str], workers: int) -> list[str]:
    """The same for a terminal."""
    lines = [
        f"OpenSSL {offers.openssl} ({offers.libssl}), providers: {', '.join(offers.providers)}; workers: {workers}",
    ]
    for one in offers.listeners:
        lines.append(f"listener {one.name}: {', '.join(addresses[one.name])}  pq = {one.pq}")
        lines.append(f"  groups  {one.groups}")
        lines.append(f"  suites  {one.cipher_suites}")
        lines += [f"  {name}  {', '.join(algorithms)}" for name, algorithms in one.identities.items()]
    if PLAIN_LISTENER in addresses:
        lines.append(f"without TLS: {', '.join(addresses[PLAIN_LISTENER])}")
    lines += [f"metrics: http://{address}/metrics" for address in metrics]
    return lines
