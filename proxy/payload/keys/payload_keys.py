"""All keys of payload encryption: those that the parent keeps and the workers use. Pure.

Rings have names. Those of the configuration have the names there. Ours have a colon, which no name
in a configuration has: `:tickets` seals the tickets of sessions, `:kem:SUITE` are the private keys
of a suite.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.schema import Config, SessionsConfig
from proxy.payload.keys.keyring import Keyring, PayloadKeyState, RingKey, RingPolicy

TICKETS: Final = ":tickets"
_KEM: Final = ":kem:"
_HOUR: Final = 3_600.0
_NO_QUOTA: Final = 2**62


def kem_ring(suite: str) -> str:
    return _KEM + suite


def suite_of(ring: str) -> str | None:
    """The suite of a ring of private keys; None for other rings."""
    return ring.removeprefix(_KEM) if ring.startswith(_KEM) else None


@dataclass(frozen=True, slots=True)
class PayloadKeys:
    """The rings of a configuration, and the signed document for clients: empty without sessions."""

    rings: Mapping[str, Keyring] = field(default_factory=dict, repr=False)
    document: bytes = b""

    @property
    def revoked(self) -> frozenset[tuple[str, int]]:
        return frozenset(
            (name, key.version)
            for name, ring in self.rings.items()
            for key in ring.ended
            if key.state is PayloadKeyState.REVOKED
        )


def policies(config: Config) -> dict[str, RingPolicy]:
    """Every ring that a configuration needs, with the rules of its rotation."""
    found = {
        name: RingPolicy(ring.rotate_hours * _HOUR, ring.quota, ring.overlap)
        for name, ring in config.payload.ring.items()
    }
    if config.payload.sessions is not None:
        found.update(_of_sessions(config.payload.sessions))
    return found


def _of_sessions(sessions: SessionsConfig) -> Iterator[tuple[str, RingPolicy]]:
    rotate = sessions.rotate_hours * _HOUR
    # a ticket is readable for as long as it lasts
    yield TICKETS, RingPolicy(rotate, _NO_QUOTA, math.ceil(sessions.lifetime_hours / sessions.rotate_hours))
    for suite in sessions.suites:
        yield kem_ring(suite), RingPolicy(rotate, _NO_QUOTA, 1)


def document_of(config: Config, rings: Mapping[str, Keyring], publish: "Publish", now: float) -> bytes:
    """What clients are told, signed; empty without sessions.

    It survives its keys by one period, should a rotation fail.
    """
    sessions = config.payload.sessions
    if sessions is None:
        return b""
    active = [(suite.value, rings[kem_ring(suite)].active) for suite in sessions.suites]
    oldest = min(key.created for _, key in active)
    return publish(active, now, oldest + 2 * sessions.rotate_hours * _HOUR)


Publish = Callable[[Sequence[tuple[str, RingKey]], float, float], bytes]
"""Signs the active public halves of suites, from an issue to an expiry (UNIX seconds)."""
