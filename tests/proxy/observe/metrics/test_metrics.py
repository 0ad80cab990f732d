"""The catalogue of metrics: names as Prometheus wants them, and each one once."""

import re

import pytest

from proxy.observe.metrics.metric import Metric, MetricKind
from proxy.observe.metrics.metrics import GROUPS, METRICS


@pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])
def test_names_and_meanings_are_what_prometheus_wants(metric: Metric) -> None:
    assert re.fullmatch(r"plexigate_[a-z]+[23]?(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
    assert bool(metric.bounds) == (metric.kind is MetricKind.HISTOGRAM)
    assert list(metric.bounds) == sorted(metric.bounds)
    assert metric.meaning.endswith((".", "…"))
    assert metric.meaning.count("\n") == 0
    assert not re.search(r"_(ms|kb|percent|minutes)(_|$)", metric.name)


def test_each_name_stands_once() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_each_metric_is_in_one_group() -> None:
    assert [metric for group in GROUPS.values() for metric in group] == list(METRICS)
