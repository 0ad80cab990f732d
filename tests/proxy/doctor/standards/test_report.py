"""The report of `doctor standards` as a document."""

import json

from proxy.doctor.standards.report import StandardReport, StandardsDocument
from proxy.doctor.standards.standards import STANDARDS
from tests.parts import differences
from tests.proxy.doctor.standards.standard_facts import facts, listener, status


def test_document_has_all_standards_and_their_counts() -> None:
    report = StandardReport.of(STANDARDS, facts(status=status(listener())))
    document = report.as_json()
    assert json.loads(json.dumps(document)) == document
    assert [one["name"] for one in document["standards"]] == [one.name for one in STANDARDS]
    assert set(document["counts"]) == {"met", "not met", "does not apply"}
    assert sum(document["counts"].values()) == sum(len(one["requirements"]) for one in document["standards"])
    assert (document["running"], document["configuration"], report.is_unmet) == (True, False, True)
    assert list(differences(document, StandardsDocument)) == []
    assert "not a certificate" in document["disclaimer"]


def test_what_cannot_be_judged_is_not_unmet() -> None:
    report = StandardReport.of(STANDARDS[:3], facts())
    assert not report.is_unmet
    assert not report.has_running_proxy
