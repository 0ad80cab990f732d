"""One metric: its name, its meaning, and the place of its values in a snapshot. Pure.

Names follow Prometheus: base units, and `_total` for a number that only grows. A metric reads one
family of rows (`merging`). `labels` are keys of a row; `value` is the key of its number. The keys
of a histogram are `counts` and `sum`.
"""

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `meaning` is its HELP text, `bounds` are those of a histogram's buckets."""

    name: str
    kind: MetricKind
    meaning: str
    family: str
    value: str = "count"
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def counter(name: str, meaning: str, family: str, *labels: str, value: str = "count") -> Metric:
    """Describe `plexigate_NAME_total`, a number that only grows."""
    return Metric(f"plexigate_{name}_total", MetricKind.COUNTER, meaning, family, value, labels)


def gauge(name: str, meaning: str, family: str, *labels: str, value: str = "count") -> Metric:
    """Describe `plexigate_NAME`, a number that grows and falls."""
    return Metric(f"plexigate_{name}", MetricKind.GAUGE, meaning, family, value, labels)


def histogram(name: str, meaning: str, bounds: tuple[float, ...], *labels: str, family: str) -> Metric:
    return Metric(f"plexigate_{name}", MetricKind.HISTOGRAM, meaning, family, "counts", labels, bounds)
