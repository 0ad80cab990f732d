"""Documents have what the code says, in the parts that are made from it."""

import re
from pathlib import Path

import pytest

from proxy.observe.metrics.metrics import METRICS
from tests.made_documents import COMMAND, DOCUMENTS, ROOT, metric_tables, renew, renewed


@pytest.mark.parametrize(("name", "source"), DOCUMENTS.items())
def test_document_is_what_is_made_from_the_code(name: str, source: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert f"<!-- made from: {source} -->\n" in text
    assert text == renewed(text), f"{name} is not what {source} says: run {COMMAND}"


def test_document_is_renewed_in_its_part_alone(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name, source in DOCUMENTS.items():
        (tmp_path / name).write_text(f"before\n<!-- made from: {source} -->\nold\n<!-- end -->\nafter\n")
    renew(tmp_path)
    for name in DOCUMENTS:
        text = (tmp_path / name).read_text()
        assert text.startswith("before\n<!-- made from")
        assert text.endswith("<!-- end -->\nafter\n")
        assert "\nold\n" not in text


def test_part_that_nothing_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="proxy/nothing"):
        renewed("<!-- made from: proxy/nothing.py -->\n<!-- end -->\n")


def test_each_metric_has_a_row() -> None:
    rows = [line for line in metric_tables().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [metric.name for metric in METRICS]


def test_script_of_a_browser_calls_what_the_library_has() -> None:
    text = (ROOT / "docs/payload.md").read_text(encoding="utf-8")
    found = re.search(r"^```js\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    library = (ROOT / "proxy/payload/clients/javascript/payload.js").read_text(encoding="utf-8")
    assert found is not None
    called = re.findall(r"(?:PayloadClient|client)\.(\w+)\(", found[1])
    assert called == ["session", "fetch", "websocket"]
    assert all(re.search(rf"^  (?:static )?async {name}\(", library, re.MULTILINE) for name in (*called, "ofRing"))
