"""The report of `doctor standards` for an operator."""

import io

from rich.console import Console

from proxy.commands.doctor.standards_table import print_standards
from proxy.doctor.standards.report import StandardReport
from proxy.doctor.standards.standards import STANDARDS
from tests.proxy.doctor.standards.standard_facts import facts, listener, status


def test_each_requirement_has_its_evidence_and_its_remedy() -> None:
    output = io.StringIO()
    found = facts(status=status(listener("X25519", "old \x1b[2J")))
    print_standards(StandardReport.of(STANDARDS[:1], found), Console(file=output, width=120))
    text = output.getvalue()
    assert "FIPS 203 (August 2024), ML-KEM  1 met, 1 not met\n" in text
    assert "not met         section 8, Table 2" in text
    assert "where  GET /status" in text
    assert 'Set pq = "prefer"' in text
    assert "\x1b" not in text
    assert "No running proxy" not in text
    assert "No configuration was read: what only it can show is left out." in text
