"""The answer of `plexigate doctor standards`. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypedDict, cast

from proxy.doctor.standards.assessment import Assessment, Conformity, RequirementRow, Standard
from proxy.doctor.standards.facts import StandardFacts
from proxy.doctor.standards.standards import DISCLAIMER

FORMAT: Final = 1
"""The version of the document. Keys may be added in a version; none changes its meaning."""


class StandardRow(TypedDict):
    """A standard, and its requirements that can be judged."""

    name: str
    title: str
    requirements: list[RequirementRow]


class StandardsDocument(TypedDict):
    """The document of `--json`."""

    version: int
    disclaimer: str
    running: bool
    """Whether a running proxy answered. What only it can show is left out otherwise."""
    configuration: bool
    """Whether a configuration was read. What only it can show is left out otherwise."""
    counts: dict[str, int]
    standards: list[StandardRow]


@dataclass(frozen=True, slots=True)
class StandardReport:
    """The assessments of each standard that was asked for."""

    standards: Sequence[tuple[Standard, tuple[Assessment, ...]]]
    has_running_proxy: bool
    has_configuration: bool

    @classmethod
    def of(cls, standards: Sequence[Standard], facts: StandardFacts) -> "StandardReport":
        assessed = [(one, tuple(one.assess(facts))) for one in standards]
        return cls(assessed, facts.status is not None, facts.config is not None)

    @property
    def counts(self) -> dict[str, int]:
        return counts(row for _, rows in self.standards for row in rows)

    @property
    def is_unmet(self) -> bool:
        return bool(self.counts[Conformity.NOT_MET])

    def as_json(self) -> StandardsDocument:
        return {
            "version": FORMAT,
            "disclaimer": DISCLAIMER,
            "running": self.has_running_proxy,
            "configuration": self.has_configuration,
            "counts": self.counts,
            "standards": [
                {
                    "name": standard.name,
                    "title": standard.title,
                    "requirements": [cast("RequirementRow", asdict(row)) for row in rows],
                }
                for standard, rows in self.standards
            ],
        }


def counts(rows: Iterable[Assessment]) -> dict[str, int]:
    """The number of requirements by verdict, also of verdicts without one."""
    found = Counter(row.verdict for row in rows)
    return {str(one): found[one] for one in Conformity}
