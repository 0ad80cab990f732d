"""What a listener has to answer to an offer, by its policy. Pure.

Written from the promise of the configuration and not with the proxy's own decisions, so that a
fault of these shows.
"""

from dataclasses import dataclass

from config.tables.listener import PqPolicy
from proxy.doctor.handshakes.offers import HelloOffer
from proxy.tls.wire.groups import KNOWN, GroupPreference


@dataclass(frozen=True, slots=True)
class ExpectedAnswer:
    """The group (None: a refusal), and whether a HelloRetryRequest has to lead to it."""

    group: str | None
    is_retried: bool = False


REFUSAL = ExpectedAnswer(None)


def expected(preference: GroupPreference, pq: PqPolicy, offer: HelloOffer) -> ExpectedAnswer:
    """What has to happen.

    The first tuple with a group that the client lists decides, and a share that was sent wins in
    it. Under `PqPolicy.REQUIRE` only quantum-safe groups count.
    """
    for one_tuple in preference.tuples:
        counted = [group for group in one_tuple if pq is not PqPolicy.REQUIRE or group.is_quantum_safe]
        listed = [group.name for group in counted if is_in_list(group.name, offer.groups)]
        shared = [name for name in listed if is_in_list(name, offer.shares)]
        if listed:
            return ExpectedAnswer((shared or listed)[0], is_retried=not shared)
    return REFUSAL


def is_in_list(name: str, names: tuple[str, ...]) -> bool:
    """Whether a group is listed, perhaps under another of its names."""
    return any(is_same_group(name, other) for other in names)


def is_same_group(one: str, other: str) -> bool:
    """Whether two names are of the same group: stacks have several names for a curve."""
    first = KNOWN.get(one.lower())
    second = KNOWN.get(other.lower())
    return one.lower() == other.lower() if first is None else first == second


def is_quantum_safe(name: str) -> bool:
    """Whether a group is known to withstand a quantum computer."""
    group = KNOWN.get(name.lower())
    return group is not None and group.is_quantum_safe
