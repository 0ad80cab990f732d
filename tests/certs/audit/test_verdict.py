"""What a verdict counts."""

from certs.audit.verdict import Fault, LinePlace, LogFinding, LogVerdict


def test_unproven_lines_are_those_that_nobody_vouches_for() -> None:
    assert LogVerdict("", 0, 0, 0, (), ()).unproven == 0
    assert LogVerdict("a", 1, 9, 0, (), ()).unproven == 9
    assert LogVerdict("a", 1, 9, 7, (), ()).unproven == 2
    assert LogVerdict("a", 5, 9, 0, (), ()).unproven == 5


def test_a_finding_ends_the_intactness() -> None:
    finding = LogFinding(LinePlace("audit.jsonl", 3), Fault.CHANGED, "")
    assert LogVerdict("a", 1, 9, 7, (), ()).is_intact
    assert not LogVerdict("a", 1, 9, 7, (finding,), ()).is_intact
    assert str(finding.place) == "audit.jsonl:3"
