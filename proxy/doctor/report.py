"""The report of the doctor as a document for programs, and its exit status. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final, TypedDict, cast

from proxy.doctor.checkup import Examined, Result
from proxy.doctor.finding import Finding, State

_INDEX: Final = re.compile(r"\[\d+\]$")
FORMAT: Final = 1
"""The version of the document. Keys may be added in a version; none changes its meaning."""


class FindingRow(TypedDict):
    """A `Finding`, and the area of its check."""

    area: str
    check: str
    subject: str
    state: str
    found: str
    remedy: str


class DoctorDocument(TypedDict):
    """The document of `plexigate doctor --json`."""

    version: int
    program: str
    time: str
    file: str | None
    running: bool
    ok: bool
    counts: dict[str, int]
    """The number of findings in each state."""
    findings: list[FindingRow]
    seconds: dict[str, float]
    """How long each check took."""


def without_repetitions(results: Sequence[Result], keys: Mapping[str, str]) -> list[Result]:
    """Leave out what another check says about the same fault with more facts and a better remedy.

    The check `configuration` finds faults of files and tokens too, and other checks look closer at
    them. What the running proxy says of a token is told only if the doctor finds the token well.
    `keys` maps the places of keys in the configuration to their tokens: a token that fails stands
    for its keys.
    """
    closer = {(one.check, one.subject) for result in results for one in result.findings if one.state is State.FAILURE}
    rights = {_INDEX.sub("", subject) for check, subject in closer if check == "file rights"}
    tokens = {subject for check, subject in closer if check == "tokens"}

    def is_repeated(one: Finding) -> bool:
        if one.check == "configuration":
            is_of_rights = one.state is State.WARNING and one.subject in rights
            place = _INDEX.sub("", one.subject)
            return is_of_rights or one.subject in tokens or keys.get(place, place) in tokens
        return one.check == "tokens" and one.subject.removesuffix(", running proxy") in tokens - {one.subject}

    return [
        replace(result, findings=tuple(one for one in result.findings if not is_repeated(one))) for result in results
    ]


def document(results: Sequence[Result], examined: Examined, program: str, at: datetime) -> DoctorDocument:
    """The report as JSON objects. `program` is the version of Plexigate that looked."""
    return {
        "version": FORMAT,
        "program": program,
        "time": at.isoformat(timespec="seconds"),
        "file": None if examined.file is None else str(examined.file),
        "running": examined.running is not None,
        "ok": not is_wrong(results),
        "counts": counts(results),
        "findings": [_row(result, finding) for result in results for finding in result.findings],
        "seconds": {result.checkup.name: round(result.seconds, 3) for result in results},
    }


def _row(result: Result, finding: Finding) -> FindingRow:
    return cast("FindingRow", {"area": str(result.checkup.area), **asdict(finding), "state": str(finding.state)})


def counts(results: Sequence[Result]) -> dict[str, int]:
    found = Counter(str(finding.state) for result in results for finding in result.findings)
    return {str(state): found[state] for state in State}


def is_wrong(results: Sequence[Result], *, is_strict: bool = False) -> bool:
    """Whether a finding is a failure; if strict, also whether one is a warning."""
    bad = {State.FAILURE, State.WARNING} if is_strict else {State.FAILURE}
    return any(finding.state in bad for result in results for finding in result.findings)
