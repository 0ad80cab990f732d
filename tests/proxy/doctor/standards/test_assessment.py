"""One requirement, and how the proxy stands to it."""

from proxy.doctor.standards.assessment import Assessment, Clause, Conformity

CLAUSE = Clause("section 1", "A thing is so.", "status")


def test_each_verdict_has_its_evidence() -> None:
    assert CLAUSE.met("7") == Assessment("section 1", "A thing is so.", Conformity.MET, "7", "status")
    assert CLAUSE.met("7", "there").where == "there"
    assert CLAUSE.not_met("8", "Change it.").remedy == "Change it."
    assert CLAUSE.not_used("none").verdict is Conformity.NOT_USED


def test_faults_decide() -> None:
    assert CLAUSE.judged([], "well", "Do.").found == "well"
    judged = CLAUSE.judged(["a", "b"], "well", "Do.")
    assert judged == Assessment("section 1", "A thing is so.", Conformity.NOT_MET, "a; b", "status", "Do.")
