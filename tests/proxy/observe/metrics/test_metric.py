"""One metric: how its name and its kind go together."""

from proxy.observe.metrics.metric import Metric, MetricKind, counter, gauge, histogram


def test_counter_has_the_ending_of_prometheus() -> None:
    made = counter("requests", "Requests.", "requests", "route", "status")
    assert made == Metric(
        "plexigate_requests_total", MetricKind.COUNTER, "Requests.", "requests", labels=("route", "status")
    )


def test_gauge_reads_the_key_that_is_named() -> None:
    made = gauge("workers", "Workers.", "process", value="workers")
    assert (made.name, made.kind, made.value) == ("plexigate_workers", MetricKind.GAUGE, "workers")


def test_histogram_reads_counts_and_has_bounds() -> None:
    made = histogram("lag_seconds", "Lag.", (0.1, 1.0), "slot", family="lag")
    assert (made.name, made.kind, made.value) == ("plexigate_lag_seconds", MetricKind.HISTOGRAM, "counts")
    assert (made.bounds, made.labels) == ((0.1, 1.0), ("slot",))
