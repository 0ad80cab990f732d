"""The report of `doctor standards` as a document."""

import json

from proxy.doctor.standards.report import StandardReport
from proxy.doctor.standards.standards import STANDARDS
from tests.proxy.doctor.standards.standard_facts import facts, listener, status


def test_document_has_all_standards_and_their_counts() -> None:
    report = StandardReport.of(STANDARDS, facts(status=status(listener())))
    document = report.as_json()
    assert json.loads(json.dumps(document)) == document
    assert [one["name"] for one in document["standards"]] == [one.name for one in STANDARDS]
    assert set(document["counts"]) == {"met", "not met", "not known", "does not apply"}
    assert sum(document["counts"].values()) == sum(len(one["requirements"]) for one in document["standards"])
    assert (document["running"], report.is_unmet) == (True, True)
    assert "no certificate" in document["disclaimer"]


def test_unknown_is_not_unmet() -> None:
    report = StandardReport.of(STANDARDS[:3], facts())
    assert not report.is_unmet
    assert not report.has_running_proxy
