"""Writes a scrape as the text that Prometheus reads.

Each scrape merges the workers' counters again, and prometheus-client writes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, assert_never, cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as MetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from proxy.figures.snapshot import Rows
from proxy.observe.counts.merging import merge, merge_rows, server_totals
from proxy.observe.metrics.metric import Metric, MetricKind
from proxy.observe.metrics.metrics import METRICS
from proxy.observe.scrape import Scrape, WorkerScrape

# our names are valid in every version of the format, so we send the oldest, which all readers know
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


def exposition(scrape: Scrape) -> bytes:
    """Return the body of `GET /metrics`, of the type `CONTENT_TYPE`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families(scrape)))
    return generate_latest(registry)


def families(scrape: Scrape) -> dict[str, Rows]:
    """All families of rows that metrics read: of the workers, and of the parent."""
    # by name from here on: a metric says of which family it is
    counted = cast("dict[str, Rows]", merge(scrape.snapshots))
    counted.pop("breaking", None)
    breaking = sum(row["count"] for row in counted.get("breaking_connections", ()))
    dropped, errors = scrape.log_losses
    return {
        **counted,
        "log": merge_rows([*counted.get("log", ()), {"dropped": dropped, "errors": errors}]),
        **_servers(scrape),
        "audit": [scrape.audit] if scrape.audit else [],
        "breaking_total": [{"count": breaking}] if "breaking_connections" in counted else [],
        "build": [{"version": scrape.version, "count": 1}],
        "process": [
            {
                "started_at": scrape.started_at,
                "generation": scrape.generation,
                "workers": len(scrape.workers),
                "restarts": scrape.restarts,
                "ready": int(scrape.readiness.is_ready),
            }
        ],
        "reloads": [{"result": result, "count": count} for result, count in sorted(scrape.reloads.items())],
        "workers": _workers(scrape),
        "certificates": _certificates(scrape),
        "watched_logs": [{"log": one.log, "unread": max(0, one.size - one.read)} for one in scrape.watched_logs],
        "revocation_lists": [
            {"of": of, "subject": one.name, "left": one.expires_at - scrape.now} for of, one in scrape.all_lists
        ],
        **_tokens(scrape, counted.get("token_figures", ())),
        "unmade_checks": [
            {"upstream": one.upstream, "server": one.server, "count": one.count} for one in scrape.unmade_checks
        ],
        "alerts": merge_rows(
            [{"kind": str(one.concern.kind), "urgency": str(one.concern.urgency), "count": 1} for one in scrape.alerts]
        ),
        "alert_deliveries": [
            {"receiver": receiver, "result": result, "count": count}
            for (receiver, result), count in sorted(scrape.alert_deliveries.items())
        ],
        "http3_offered": [
            {"listener": one.name, "offered": int(one.http3.fault is None)}
            for one in scrape.listeners
            if one.http3 is not None
        ],
        "maintenance": [{"route": one.route, "since": one.since} for one in scrape.maintenance],
        "sealing_keys": _sealing_keys(scrape),
        **_fleet(scrape),
        "rotations": [{"result": result, "count": count} for result, count in scrape.rotations.items()],
        "rotating": [
            {"identity": one.identity, "credential": one.credential, "urgency": one.urgency, "failures": one.failures}
            for one in scrape.rotating
        ],
    }


def _workers(scrape: Scrape) -> Rows:
    """A row for each slot. While a worker is replaced: the new one's age, both ones' memory."""
    slots: dict[int, list[WorkerScrape]] = {}
    for one in scrape.workers:
        slots.setdefault(one.slot, []).append(one)
    return [
        {
            "slot": str(slot),
            "age": min(one.age_seconds for one in of_it),
            "rss": sum(one.rss_bytes for one in of_it),
        }
        for slot, of_it in sorted(slots.items())
    ]


def _tokens(scrape: Scrape, figures: Rows) -> dict[str, Rows]:
    """The parent's facts about tokens. Its sessions are added to those of the workers."""
    parents = [
        {"token": one.token, "queued": 0, "running": 0, "lost": 0, "sessions": one.sessions} for one in scrape.tokens
    ]
    return {
        "token_figures": merge_rows([*({"threads": 0, **row} for row in parents), *figures]),
        "token_parent": [
            {
                "token": one.token,
                "max_sessions": one.max_sessions,
                "well": int(one.condition == "well"),
                "refused": int(one.condition == "pin_refused"),
                "probes": one.probes,
                "missing": len(one.missing_keys),
            }
            for one in scrape.tokens
        ],
        "token_parent_errors": [
            {"token": one.token, "error": name, "count": count}
            for one in scrape.tokens
            for name, count in sorted(one.errors.items())
        ],
    }


def _servers(scrape: Scrape) -> dict[str, Rows]:
    """The servers that a worker knows. A server that a reload removed has no rows."""
    live = [server for worker in scrape.workers for server in worker.servers]
    known = {(one["upstream"], one["server"]) for one in live}
    retained = (scrape.retained or {}).get("servers", ())
    kept = [one for one in retained if (one["upstream"], one["server"]) in known]
    return {
        "servers": merge_rows([{key: value for key, value in one.items() if key != "state"} for one in live]),
        "server_totals": merge_rows([*kept, *server_totals(live)]),
        "server_states": merge_rows(
            [{"upstream": one["upstream"], "server": one["server"], "state": one["state"], "count": 1} for one in live]
        ),
    }


def _certificates(scrape: Scrape) -> Rows:
    """One row for each identity, algorithm and token: replicas differ by their tokens. Of several
    certificates the first one to expire.
    """
    left: dict[tuple[str, str, str], float] = {}
    for one in scrape.certificates:
        label = one.identity, one.algorithm, ",".join(one.tokens)
        left[label] = min(one.expires_at - scrape.now, left.get(label, float("inf")))
    return [
        {"identity": identity, "algorithm": algorithm, "token": token, "left": seconds}
        for (identity, algorithm, token), seconds in left.items()
    ]


def _sealing_keys(scrape: Scrape) -> Rows:
    """How long the sealing key, and the key of each purpose below it, have sealed."""
    one = scrape.sealing
    if one is None:
        return []
    since = {**one.keys_since, **({} if one.since is None else {"sealing": one.since})}
    return [{"key": key, "age": scrape.now - at} for key, at in sorted(since.items())]


def _fleet(scrape: Scrape) -> dict[str, Rows]:
    one = scrape.fleet
    if one is None:
        return {}
    return {
        "fleet": [
            {
                "connected": int(one.fault is None),
                "leading": int(one.is_leading),
                "members": one.members,
                "alive": one.alive,
                "differing": len(one.others),
                "revision": one.revision,
            }
        ],
        "fleet_epoch": [] if one.epoch is None else [{"count": one.epoch}],
        "fleet_skew": [] if one.skew is None else [{"skew": one.skew}],
        "fleet_planned": [{"what": what, "left": until - scrape.now} for what, until in sorted(one.planned.items())],
    }


class _Families(Collector):
    """Passes the rows to prometheus-client."""

    def __init__(self, rows: Mapping[str, Rows]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[MetricFamily]:
        for metric in METRICS:
            yield _family(metric, self._rows.get(metric.family, ()))


def _family(metric: Metric, rows: Rows) -> MetricFamily:
    match metric.kind:
        case MetricKind.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for row in rows:
                histogram.add_metric([row[one] for one in metric.labels], _buckets(metric, row["counts"]), row["sum"])
            return histogram
        case MetricKind.COUNTER:
            counter = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for row in rows:
                counter.add_metric([row[one] for one in metric.labels], row[metric.value])
            return counter
        case MetricKind.GAUGE:
            gauge = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for row in rows:
                gauge.add_metric([row[one] for one in metric.labels], row[metric.value])
            return gauge
        case _:
            assert_never(metric.kind)


def _buckets(metric: Metric, counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return cumulative buckets, as Prometheus expects them."""
    buckets = []
    seen = 0
    for bound, count in zip((*metric.bounds, float("inf")), counts, strict=True):
        seen += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(seen)))
    return buckets
