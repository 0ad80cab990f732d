"""The state of the proxy as one document: the answer to `GET /status`, which `plexigate status
--json` prints. Pure.

Counts begin with the parent process, and include workers that were replaced.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import isinf
from typing import Any, Final, cast

from proxy.api.status import (
    BackupRow,
    BreakingRow,
    ConfigurationRow,
    HandshakesRow,
    Http3Row,
    ListenerRow,
    MaintenanceRow,
    SealingRow,
    ServedCertificateRow,
    StatusDocument,
    TokenRow,
    UnmadeCheckRow,
    UpgradeRow,
    UpstreamRow,
    WorkerRow,
    WorkerTokenRow,
)
from proxy.figures.histogram import LAG_SECONDS, quantile
from proxy.figures.snapshot import Row, Rows, rows_of
from proxy.observe.counts.breaking import merge_breaking, merge_kinds
from proxy.observe.metrics.exposition import families
from proxy.observe.request_figures import protocol_figures, route_figures
from proxy.observe.scrape import (
    BackupFacts,
    CertificateFacts,
    ConfigurationFacts,
    Http3Facts,
    ListenerFacts,
    Scrape,
    WorkerScrape,
)

_DAY: Final = 86_400.0
_HYBRID: Final = frozenset({"hybrid", "hybrid_after_retry"})
_REFUSED: Final = "refused"
_LATE: Final = 0.99


def status(scrape: Scrape) -> StatusDocument:
    """Return the document. Durations are in seconds, moments (`_at`) in UNIX seconds."""
    rows = families(scrape)
    return {
        "version": scrape.version,
        "pid": scrape.pid,
        "generation": scrape.generation,
        "configuration": None if scrape.configuration is None else _configuration(scrape.configuration),
        "backup": None if scrape.backup is None else _backup(scrape.backup, scrape.now),
        "started_at": scrape.started_at,
        "uptime_seconds": scrape.now - scrape.started_at,
        "readiness": scrape.readiness.as_json(),
        "alerts": [one.as_json() for one in scrape.alerts],
        "reloads": dict(scrape.reloads),
        "worker_restarts": scrape.restarts,
        "upgrade": None if scrape.upgrade is None else cast("UpgradeRow", asdict(scrape.upgrade)),
        "former_workers": list(scrape.former_workers),
        "workers": [_worker(one) for one in sorted(scrape.workers, key=lambda one: one.slot)],
        "listeners": [_listener(one, rows) for one in scrape.listeners],
        "routes": route_figures(rows),
        "protocols": protocol_figures(rows),
        "handshakes": _handshakes(rows.get("handshakes", ())),
        "failures": _sums(rows.get("failures", ()), "reason"),
        "breaking_under_require": _breaking(scrape),
        "tokens": _tokens(scrape, rows),
        "upstreams": _upstreams(rows),
        "sealing": None if scrape.sealing is None else cast("SealingRow", asdict(scrape.sealing)),
        "unmade_checks": [cast("UnmadeCheckRow", asdict(one)) for one in scrape.unmade_checks],
        "maintenance": [cast("MaintenanceRow", asdict(one)) for one in scrape.maintenance],
        "certificates": [_certificate(one, scrape.now) for one in scrape.certificates],
        "revocation_lists": [
            {"of": of, "name": one.name, "begins_at": one.begins_at, "expires_at": one.expires_at, "fault": one.fault}
            for of, one in scrape.all_lists
        ],
        "watched_logs": [
            {"log": one.log, "read": one.read, "size": one.size, "fault": one.fault} for one in scrape.watched_logs
        ],
    }


def _configuration(facts: ConfigurationFacts) -> ConfigurationRow:
    return {"file": facts.file, "sha256": facts.sha256, "read_at": facts.read_at}


def _backup(facts: BackupFacts, now: float) -> BackupRow:
    return {
        "directory": facts.directory,
        "newest_at": facts.newest_at,
        "age_seconds": facts.age(now),
        "late": facts.is_late(now),
        "fault": facts.fault,
    }


def signatures(scrape: Scrape) -> dict[str, int]:
    """Count signatures by identity: one for each handshake that did not resume a session."""
    rows = families(scrape).get("handshakes", ())
    signed = (row for row in rows if row["outcome"] != _REFUSED and row["resumed"] != "true")
    return _sums(signed, "identity")


def _worker(worker: WorkerScrape) -> WorkerRow:
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "age_seconds": worker.age_seconds,
        "state": str(worker.state),
        "generation": worker.generation,
        "connections": worker.connections,
        "rss_bytes": worker.rss_bytes,
        "loop_lag_p99_seconds": _loop_lag(worker),
    }


def _loop_lag(worker: WorkerScrape) -> float | None:
    for lag in worker.snapshot.get("loop_lag", ()):  # empty until the first answer of the worker
        late = quantile(LAG_SECONDS, lag["counts"], _LATE)
        # above the last bound only this is known: one delay is not longer than the sum of all
        return float(lag["sum"]) if late is not None and isinf(late) else late
    return None


def _listener(listener: ListenerFacts, rows: Mapping[str, Rows]) -> ListenerRow:
    def of_it(family: str) -> list[Row]:
        return [row for row in rows.get(family, ()) if row["listener"] == listener.name]

    connections = of_it("connections")
    return {
        "name": listener.name,
        "addresses": list(listener.addresses),
        "pq": listener.pq,
        "groups": listener.groups,
        "connections_open": sum(row["open"] for row in connections),
        "connections_accepted": sum(row["accepted"] for row in connections),
        "requests": _sums(of_it("listener_requests"), "status"),
        "handshakes": _handshakes(of_it("handshakes")),
        "failures": _sums(of_it("failures"), "reason"),
        "protocols": _sums(of_it("protocol_requests"), "protocol"),
        "http2": {
            "connections": sum(row["connections"] for row in of_it("http2")),
            "connections_open": sum(row["open"] for row in of_it("http2")),
            "streams_open": sum(row["streams_open"] for row in of_it("http2")),
            "resets": _sums(of_it("http2_resets"), "cause"),
        },
        "http3": None if listener.http3 is None else _http3(listener.http3, of_it("http3")),
        "relays": [
            {
                "kind": row["kind"],
                "connections": row["connections"],
                "connections_open": row["open"],
                "bytes": {one["direction"]: one["bytes"] for one in of_it("relay_bytes") if one["kind"] == row["kind"]},
                "ends": _sums((one for one in of_it("relay_ends") if one["kind"] == row["kind"]), "reason"),
            }
            for row in of_it("relays")
        ],
    }


def _http3(facts: Http3Facts, rows: Rows) -> Http3Row:
    return {
        "port": facts.port,
        "fault": facts.fault,
        "connections": sum(row["connections"] for row in rows),
        "connections_open": sum(row["open"] for row in rows),
    }


def _handshakes(rows: Rows) -> HandshakesRow:
    """Return counts, and the share of finished handshakes with a hybrid key exchange; None without
    a handshake."""
    outcomes = _sums(rows, "outcome")
    established = sum(count for outcome, count in outcomes.items() if outcome != _REFUSED)
    hybrid = sum(count for outcome, count in outcomes.items() if outcome in _HYBRID)
    return {
        "established": established,
        "hybrid": hybrid,
        "hybrid_share": hybrid / established if established else None,
        "resumed": sum(row["count"] for row in rows if row["resumed"] == "true"),
        "by_outcome": outcomes,
        "by_group": _sums((row for row in rows if row["outcome"] != _REFUSED), "group"),
    }


def _breaking(scrape: Scrape) -> BreakingRow:
    """Return the clients that `pq = "require"` would refuse, from the day `since` on: workers
    remember two days. `doctor readiness` has more.

    The count of an entry is at most `error` too high. Every client with more connections than
    `error_at_most` is listed.
    """
    days = merge_breaking([one["breaking"] for one in scrape.snapshots if "breaking" in one])
    found = [summaries for listeners in days.values() for summaries in listeners.values()]
    if not found:
        return {"since": None, "connections": 0, "error_at_most": 0, "names": [], "networks": [], "user_agents": []}
    merged = merge_kinds(found)
    agents = merged["agents"]
    return {
        "since": min(days),
        "connections": agents["total"],
        "error_at_most": agents["total"] // agents["capacity"],
        "names": [{"name": key, "connections": n, "error": error} for key, n, error in merged["names"]["entries"]],
        "networks": [
            {"network": key, "connections": n, "error": error} for key, n, error in merged["networks"]["entries"]
        ],
        "user_agents": [{"user_agent": key, "connections": n, "error": error} for key, n, error in agents["entries"]],
    }


def _tokens(scrape: Scrape, rows: Mapping[str, Rows]) -> list[TokenRow]:
    """One entry for each token: the findings of the parent and of each worker. `last_good_seconds`:
    age of the latest signature."""
    used = {row["token"]: row["sessions"] for row in rows.get("token_figures", ())}
    found: list[TokenRow] = []
    for one in scrape.tokens:
        workers = [_worker_token(worker, one.token) for worker in sorted(scrape.workers, key=lambda one: one.slot)]
        ages = [one.seconds_since_good, *(worker["last_good_seconds"] for worker in workers if worker is not None)]
        found.append(
            {
                "token": one.token,
                "parent": one.condition,
                "detail": one.detail,
                "pin_refused": one.condition == "pin_refused",
                "sessions": used.get(one.token, one.sessions),
                "session_limit": one.max_sessions,
                "last_good_seconds": min((age for age in ages if age is not None), default=None),
                "parent_errors": dict(one.errors),
                "missing_keys": [
                    {"key": key, "identities": list(identities)} for key, identities in one.missing_keys.items()
                ],
                "workers": [worker for worker in workers if worker is not None],
            }
        )
    return found


def _worker_token(worker: WorkerScrape, token: str) -> WorkerTokenRow | None:
    """Return the state of a token in a worker; None if the worker does not use it."""

    def row(family: str) -> Row | None:
        return next((one for one in rows_of(worker.snapshot, family) if one["token"] == token), None)

    state = row("token_states")
    figures = row("token_figures")
    good = row("token_good")
    if state is None or figures is None:
        return None
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "state": state["state"],
        "threads": figures["threads"],
        "signing": figures["running"],
        "lost": figures["lost"],
        "queued": figures["queued"],
        "last_good_seconds": None if good is None else good["youngest"],
    }


def _upstreams(rows: Mapping[str, Rows]) -> list[UpstreamRow]:
    """An entry for each upstream and server. `states` counts workers by what they see."""
    servers: dict[tuple[str, str], Any] = {}
    for row in (*rows["servers"], *rows["server_totals"]):
        server = servers.setdefault((row["upstream"], row["server"]), {"server": row["server"], "states": {}})
        server.update({key: value for key, value in row.items() if key != "upstream"})
    for row in rows["server_states"]:
        servers[row["upstream"], row["server"]]["states"][row["state"]] = row["count"]
    names = dict.fromkeys(upstream for upstream, _ in servers)
    return [
        {"name": name, "servers": [server for (upstream, _), server in servers.items() if upstream == name]}
        for name in names
    ]


def _certificate(one: CertificateFacts, now: float) -> ServedCertificateRow:
    return {
        "identity": one.identity,
        "algorithm": one.algorithm,
        "signatures": list(one.signatures),
        "names": list(one.names),
        "tokens": list(one.tokens),
        "begins_at": one.begins_at,
        "expires_at": one.expires_at,
        "days_left": round((one.expires_at - now) / _DAY, 1),
    }


def _sums(rows: Iterable[Row], label: str) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row[label]] += row["count"]
    return dict(sorted(sums.items()))
