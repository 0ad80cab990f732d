"""The table of metrics: names that Prometheus wants, and a README that tells all of them."""

import re
from pathlib import Path

import pytest

from proxy.observe.metrics import METRICS, Kind, Metric, readme_table

README = Path(__file__).parents[3] / "README.md"


@pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])
def test_names_and_meanings_are_what_prometheus_wants(metric: Metric) -> None:
    assert re.fullmatch(r"plexigate_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.bounds) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.bounds) == sorted(metric.bounds)
    assert metric.meaning.endswith((".", "…"))
    assert metric.meaning.count("\n") == 0
    assert not re.search(r"_(ms|kb|percent|minutes)(_|$)", metric.name)


def test_each_name_stands_once() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_readme_has_the_table() -> None:
    """Print it with: python -c 'from proxy.observe.metrics import readme_table; print(readme_table())'."""
    assert readme_table() in README.read_text(encoding="utf-8")
