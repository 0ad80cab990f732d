"""Findings, and the judge that makes them."""

from proxy.doctor.finding import Finding, Judge, State


def test_a_judge_makes_findings_of_its_check() -> None:
    judge = Judge("clock")
    assert judge.ok("time", "right") == Finding("clock", "time", State.OK, "right", "")
    assert judge.warning("time", "late", "wait") == Finding("clock", "time", State.WARNING, "late", "wait")
    assert judge.failure("time", "wrong", "set it") == Finding("clock", "time", State.FAILURE, "wrong", "set it")
    assert judge.unknown("time", "no answer") == Finding("clock", "time", State.UNKNOWN, "no answer", "")
    assert judge.skipped("time", "no clock") == Finding("clock", "time", State.SKIPPED, "no clock", "")
