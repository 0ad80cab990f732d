"""What a start reports: what is really offered, not what was asked for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.tls.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class ListenerReport:
    """What one listener offers."""

    name: str
    addresses: Sequence[str]
    pq: str
    groups: str
    cipher_suites: str
    identities: Mapping[str, Sequence[str]]
    """Identity -> algorithms of its credentials."""


def ready_event(capabilities: Capabilities, listeners: Sequence[ListenerReport]) -> dict[str, Any]:
    """The event that says that connections are accepted; `listeners` maps each name to its bound addresses."""
    return {
        "event": "ready",
        "openssl": capabilities.version,
        "libssl": capabilities.libssl,
        "providers": list(capabilities.providers),
        "listeners": {one.name: list(one.addresses) for one in listeners},
        "offers": {
            one.name: {
                "pq": one.pq,
                "groups": one.groups,
                "cipher_suites": one.cipher_suites,
                "identities": {name: list(algorithms) for name, algorithms in one.identities.items()},
            }
            for one in listeners
        },
    }


def ready_lines(capabilities: Capabilities, listeners: Sequence[ListenerReport]) -> list[str]:
    """The same for a terminal."""
    lines = [
        f"OpenSSL {capabilities.version} ({capabilities.libssl}), providers: {', '.join(capabilities.providers)}",
    ]
    for one in listeners:
        lines.append(f"listener {one.name}: {', '.join(one.addresses)}  pq = {one.pq}")
        lines.append(f"  groups  {one.groups}")
        lines.append(f"  suites  {one.cipher_suites}")
        lines += [f"  {name}  {', '.join(algorithms)}" for name, algorithms in one.identities.items()]
    return lines
