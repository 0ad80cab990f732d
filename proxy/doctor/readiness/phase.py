"""The phase of a listener's migration to post-quantum key exchange, by the groups that it offers.
Pure.

    CLASSICAL   no quantum-safe group
    OFFERED     a quantum-safe group, and a classical one that is as good or better
    PREFERRED   quantum-safe groups first: a client that has one gets one
    RETIRED     quantum-safe groups alone
"""

from enum import StrEnum
from typing import Final

from proxy.tls.wire.groups import tuples_in


class Phase(StrEnum):
    """How far a listener is."""

    CLASSICAL = "classical only"
    OFFERED = "hybrid offered"
    PREFERRED = "hybrid preferred"
    RETIRED = "classical retired"

    @property
    def next(self) -> "Phase | None":
        """The phase after this one, None after the last one."""
        return _NEXT.get(self)


_NEXT: Final = {
    Phase.CLASSICAL: Phase.PREFERRED,
    Phase.OFFERED: Phase.PREFERRED,
    Phase.PREFERRED: Phase.RETIRED,
}


def phase_of(groups: str) -> Phase:
    """Judge a list of groups in OpenSSL's syntax: `A:B / C`."""
    safe = [[group.is_quantum_safe for group in one] for one in tuples_in(groups)]
    if all(map(all, safe)):
        return Phase.RETIRED
    if all(safe[0]):
        return Phase.PREFERRED
    return Phase.OFFERED if any(map(any, safe)) else Phase.CLASSICAL
