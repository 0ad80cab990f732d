"""The report of the doctor as a document for programs, and its exit status. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from proxy.doctor.checkup import Examined, Result
from proxy.doctor.finding import State

FORMAT: Final = 1
"""The version of the document. Keys may be added in a version; none changes its meaning."""


def document(results: Sequence[Result], examined: Examined, program: str, at: datetime) -> dict[str, Any]:
    """The report as JSON objects. `program` is the version of Plexigate that looked."""
    return {
        "version": FORMAT,
        "program": program,
        "time": at.isoformat(timespec="seconds"),
        "file": None if examined.file is None else str(examined.file),
        "running": examined.running is not None,
        "ok": not is_wrong(results),
        "counts": counts(results),
        "findings": [
            {"area": str(result.checkup.area), **asdict(finding), "state": str(finding.state)}
            for result in results
            for finding in result.findings
        ],
        "seconds": {result.checkup.name: round(result.seconds, 3) for result in results},
    }


def counts(results: Sequence[Result]) -> dict[str, int]:
    """The number of findings in each state."""
    found = Counter(str(finding.state) for result in results for finding in result.findings)
    return {str(state): found[state] for state in State}


def is_wrong(results: Sequence[Result], *, is_strict: bool = False) -> bool:
    """Whether a finding is a failure; if strict, also whether one is a warning."""
    bad = {State.FAILURE, State.WARNING} if is_strict else {State.FAILURE}
    return any(finding.state in bad for result in results for finding in result.findings)
