"""The list of all standards."""

from proxy.doctor.standards.standards import DISCLAIMER, STANDARDS
from tests.proxy.doctor.standards.standard_facts import facts


def test_each_name_is_there_once_and_every_row_is_whole() -> None:
    names = [one.name for one in STANDARDS]
    assert len(names) == len(set(names))
    for standard in STANDARDS:
        for row in standard.assess(facts()):
            assert row.requirement.endswith(".")
            assert row.found
            assert row.clause


def test_nobody_takes_it_for_a_certificate() -> None:
    assert DISCLAIMER.startswith("This is not a certificate")
