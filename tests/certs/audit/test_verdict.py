"""What a verdict counts."""

from certs.audit.verdict import Fault, Finding, Place, Verdict


def test_unproven_lines_are_those_that_nobody_vouches_for() -> None:
    assert Verdict("", 0, 0, 0, (), ()).unproven == 0
    assert Verdict("a", 1, 9, 0, (), ()).unproven == 9
    assert Verdict("a", 1, 9, 7, (), ()).unproven == 2
    assert Verdict("a", 5, 9, 0, (), ()).unproven == 5


def test_a_finding_ends_the_intactness() -> None:
    finding = Finding(Place("audit.jsonl", 3), Fault.CHANGED, "")
    assert Verdict("a", 1, 9, 7, (), ()).is_intact
    assert not Verdict("a", 1, 9, 7, (finding,), ()).is_intact
    assert str(finding.place) == "audit.jsonl:3"
