"""One requirement of a standard, and how the proxy stands to it. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from proxy.doctor.standards.facts import StandardFacts


class Conformity(StrEnum):
    MET = "met"
    NOT_MET = "not met"
    NOT_USED = "does not apply"
    """The proxy does not use what the requirement is about."""


class RequirementRow(TypedDict):
    """An `Assessment` as JSON."""

    clause: str
    requirement: str
    verdict: str
    found: str
    where: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """A requirement in our words, with its clause.

    `found` is the evidence, `where` the place that it is from. `remedy` says what to do, empty if
    there is nothing to do.
    """

    clause: str
    requirement: str
    verdict: Conformity
    found: str
    where: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Standard:
    """A standard by the `name` that the command takes, its `title` with the edition that was read,
    and what assesses it."""

    name: str
    title: str
    assess: Callable[[StandardFacts], Iterable[Assessment]]


@dataclass(frozen=True, slots=True)
class Clause:
    """Makes the assessments of one requirement. `where` is the usual place of the evidence.

    What cannot be judged by the facts at hand has no assessment.
    """

    number: str
    requirement: str
    where: str

    def met(self, found: str, where: str = "") -> Assessment:
        return Assessment(self.number, self.requirement, Conformity.MET, found, where or self.where)

    def not_met(self, found: str, remedy: str, where: str = "") -> Assessment:
        """The evidence shows the opposite."""
        return Assessment(self.number, self.requirement, Conformity.NOT_MET, found, where or self.where, remedy)

    def not_used(self, found: str) -> Assessment:
        """The proxy does not use what it is about."""
        return Assessment(self.number, self.requirement, Conformity.NOT_USED, found, self.where)

    def judged(self, faults: list[str], well: str, remedy: str, where: str = "") -> Assessment:
        """Met, unless there are faults."""
        return self.not_met("; ".join(faults), remedy, where) if faults else self.met(well, where)
