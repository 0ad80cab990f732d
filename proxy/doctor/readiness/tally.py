"""The handshakes of some days, added up. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from proxy.tls.handshake.group_choice import HandshakeOutcome


class TallyRow(TypedDict):
    """A `Tally` as JSON."""

    established: int
    hybrid: int
    hybrid_after_retry: int
    classical_client_cannot: int
    classical_client_could: int
    refused: int
    hybrid_share: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Handshakes by how the key exchange ended."""

    hybrid: int = 0
    """With a quantum-safe group, at once."""
    retried: int = 0
    """The same after a HelloRetryRequest, which costs a round trip."""
    unable: int = 0
    """Classical: the client offers no quantum-safe group, or under `report` none of ours."""
    able: int = 0
    """Classical, although the client offers a quantum-safe group: ours are off, or others."""
    refused: int = 0

    @classmethod
    def of(cls, outcomes: Mapping[str, int]) -> "Tally":
        """Sort counts by `HandshakeOutcome`."""

        def count(*names: HandshakeOutcome) -> int:
            return sum(outcomes.get(name, 0) for name in names)

        return cls(
            hybrid=count(HandshakeOutcome.HYBRID),
            retried=count(HandshakeOutcome.HYBRID_AFTER_RETRY),
            unable=count(HandshakeOutcome.CLIENT_CANNOT, HandshakeOutcome.WOULD_REFUSE),
            able=count(HandshakeOutcome.NOT_REQUIRED),
            refused=count(HandshakeOutcome.REFUSED),
        )

    @property
    def established(self) -> int:
        """Handshakes that ended with a connection."""
        return self.hybrid + self.retried + self.unable + self.able

    def breaking(self, *, is_offered: bool) -> int:
        """Handshakes that `require` would have refused.

        `is_offered`: the listener has quantum-safe groups. Then a client that got a classical group
        has offered others than ours.
        """
        return self.unable + (self.able if is_offered else 0)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.hybrid + other.hybrid,
            self.retried + other.retried,
            self.unable + other.unable,
            self.able + other.able,
            self.refused + other.refused,
        )

    def as_json(self) -> TallyRow:
        """For programs; `hybrid_share` is None without a handshake."""
        hybrid = self.hybrid + self.retried
        return {
            "established": self.established,
            "hybrid": hybrid,
            "hybrid_after_retry": self.retried,
            "classical_client_cannot": self.unable,
            "classical_client_could": self.able,
            "refused": self.refused,
            "hybrid_share": share(hybrid, self.established),
        }


def total(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def share(part: int, whole: int) -> float | None:
    """The part of a whole, None of nothing."""
    return part / whole if whole else None
