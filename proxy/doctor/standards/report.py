"""The answer of `plexigate doctor standards`. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.doctor.standards.assessment import Assessment, Conformity, Standard
from proxy.doctor.standards.facts import StandardFacts
from proxy.doctor.standards.standards import DISCLAIMER

FORMAT: Final = 1
"""The version of the document. Keys may be added in a version; none changes its meaning."""


@dataclass(frozen=True, slots=True)
class StandardReport:
    """The assessments of each standard that was asked for."""

    standards: Sequence[tuple[Standard, tuple[Assessment, ...]]]
    has_running_proxy: bool

    @classmethod
    def of(cls, standards: Sequence[Standard], facts: StandardFacts) -> "StandardReport":
        """Assess them."""
        return cls([(one, tuple(one.assess(facts))) for one in standards], facts.status is not None)

    @property
    def counts(self) -> dict[str, int]:
        """The number of requirements by verdict."""
        return counts(row for _, rows in self.standards for row in rows)

    @property
    def is_unmet(self) -> bool:
        """Whether a requirement is not met."""
        return bool(self.counts[Conformity.NOT_MET])

    def as_json(self) -> dict[str, Any]:
        """The document of `--json`."""
        return {
            "version": FORMAT,
            "disclaimer": DISCLAIMER,
            "running": self.has_running_proxy,
            "counts": self.counts,
            "standards": [
                {"name": standard.name, "title": standard.title, "requirements": [row.as_json() for row in rows]}
                for standard, rows in self.standards
            ],
        }


def counts(rows: Iterable[Assessment]) -> dict[str, int]:
    """The number of requirements by verdict, also of verdicts without one."""
    found = Counter(row.conformity for row in rows)
    return {str(one): found[one] for one in Conformity}
