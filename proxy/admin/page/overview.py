"""What the page shows of this moment: a document of sections, so that only those go out that have
changed. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from proxy.api.certificates import CertificateRow
from proxy.api.overview import (
    BackupSection,
    ClassicalSection,
    ConfigurationSection,
    CredentialRow,
    FleetSection,
    LatencySummary,
    ListenerSummary,
    Overview,
    Row,
    ServerSummary,
    ShownTable,
    TokenSummary,
)
from proxy.api.status import (
    BackupRow,
    BreakingRow,
    ListenerRow,
    ReadinessDocument,
    ReasonRow,
    StatusDocument,
    TokenRow,
    UpstreamRow,
)
from proxy.observe.counts.busiest import busiest
from proxy.observe.history.history import History
from proxy.observe.scrape import CertificateFacts, FleetFacts, Scrape
from proxy.observe.status import status
from proxy.tls.wire.groups import group_named

# What a user can read. The page says how many more there are.
_MOST_ROWS: Final = 100
_MOST_CLIENTS: Final = 10


def overview(scrape: Scrape, history: History, issued: Sequence[CertificateRow], hot_path: str) -> Overview:
    """Make the document. `issued` are the certificates that rotate, see `rotation.listing`."""
    told = status(scrape)
    cpu = {one.pid: one.cpu_seconds for one in scrape.workers}
    return {
        "proxy": {
            "now": scrape.now,
            "version": scrape.version,
            "hot_path": hot_path,
            "started_at": scrape.started_at,
            "configured_at": scrape.configured_at,
            "generation": scrape.generation,
            "reloads": told["reloads"],
            "restarts": scrape.restarts,
        },
        "readiness": {**told["readiness"], "sentence": _sentence(told["readiness"])},
        "alerts": _first(told["alerts"]),
        "handshakes": told["handshakes"],
        "certificates": _first(_certificates(scrape, issued)),
        "tokens": _first([_token(one) for one in told["tokens"]]),
        "upstreams": _first(_servers(told["upstreams"], history.latencies(scrape))),
        "listeners": _first([_listener(one) for one in told["listeners"]]),
        "routes": history.routes(scrape),
        "refusals": _first(history.refusals()),
        "classical": _classical(told["breaking_under_require"]),
        "busiest": busiest(
            [one.snapshot["busiest"] for one in scrape.workers if "busiest" in one.snapshot], scrape.now, _MOST_CLIENTS
        ),
        "quantum_safe_groups": _quantum_safe_groups(scrape),
        "workers": _first([{**one, "cpu_seconds": cpu[one["pid"]]} for one in told["workers"]]),
        "maintenance": _first(told["maintenance"]),
        "configuration": _configuration(scrape, told),
        "backup": _backup(told["backup"]),
        "fleet": None if scrape.fleet is None else _fleet(scrape.fleet),
    }


def _configuration(scrape: Scrape, told: StatusDocument) -> ConfigurationSection:
    if told["configuration"] is None or scrape.configuration is None:
        return {"text": ""}
    return {**told["configuration"], "text": scrape.configuration.text}


def _backup(row: BackupRow | None) -> BackupSection | None:
    """When it was made, not its age: a section goes out when it changes."""
    return None if row is None else {"newest_at": row["newest_at"], "late": row["late"]}


def _fleet(facts: FleetFacts) -> FleetSection:
    return {
        "node": facts.node,
        "leader": facts.leader,
        "members": facts.members,
        "alive": facts.alive,
        "revision": facts.revision,
        "epoch": facts.epoch,
        "skew": None if facts.skew is None else round(facts.skew),
        "fault": facts.fault,
        "differing": sorted(facts.others),
    }


def _sentence(readiness: ReadinessDocument) -> str:
    reasons = readiness["reasons"]
    doubts = readiness["doubts"]
    if reasons:
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        return f"Not ready: {_reason(reasons[0])}{more}."
    if doubts:
        more = f", and {len(doubts) - 1} more" if len(doubts) > 1 else ""
        return f"Ready, degraded: {_reason(doubts[0])}{more}."
    return "Ready: every worker, certificate and route can serve."


def _reason(one: ReasonRow) -> str:
    return " ".join(part for part in (one["subject"], one["name"], one["detail"]) if part)


def _first(rows: Sequence[Row]) -> ShownTable[Row]:
    return {"rows": list(islice(rows, _MOST_ROWS)), "more": max(0, len(rows) - _MOST_ROWS)}


def _certificates(scrape: Scrape, issued: Sequence[CertificateRow]) -> list[CredentialRow]:
    """One row for each credential, the first to expire first. Times are in UNIX seconds."""
    found = [_of_file(one) for one in scrape.certificates if not one.is_issued]
    found += [_issued(one) for one in issued]
    return sorted(found, key=lambda one: (one["expires_at"] or 0.0, one["identity"], one["credential"]))


def _of_file(one: CertificateFacts) -> CredentialRow:
    return {
        "identity": one.identity,
        "credential": one.algorithm,
        "names": list(one.names),
        "issuer": None,
        "place": ", ".join(one.keys),
        "begins_at": one.begins_at or None,
        "expires_at": one.expires_at,
        "next_at": None,
        "urgency": None,
        "error": None,
    }


def _issued(one: CertificateRow) -> CredentialRow:
    following = one["next"]
    return {
        "identity": one["identity"],
        "credential": one["credential"],
        "names": one["names"],
        "issuer": one["issuer"],
        "place": one["key"]["place"],
        "begins_at": _seconds(one["not_before"]),
        "expires_at": _seconds(one["not_after"]),
        "next_at": None if following is None else _seconds(following["at"]),
        "urgency": None if following is None else following["urgency"],
        "error": one["last_error"],
    }


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).timestamp()


def _token(one: TokenRow) -> TokenSummary:
    return {
        "token": one["token"],
        "condition": one["parent"],
        "detail": one["detail"],
        "sessions": one["sessions"],
        "session_limit": one["session_limit"],
        "last_good_seconds": one["last_good_seconds"],
        "missing_keys": [key["key"] for key in one["missing_keys"]],
        "states": [worker["state"] for worker in one["workers"]],
        "queued": sum(worker["queued"] for worker in one["workers"]),
        "signing": sum(worker["signing"] for worker in one["workers"]),
        "lost": sum(worker["lost"] for worker in one["workers"]),
    }


def _servers(upstreams: Sequence[UpstreamRow], latencies: Mapping[str, LatencySummary]) -> list[ServerSummary]:
    """One row for each server. If not all have room, those that are not up come first.

    The latencies are those of the address, in all upstreams that have it.
    """
    unknown: LatencySummary = {"p50": None, "p99": None}
    rows: list[ServerSummary] = [
        {
            "upstream": upstream["name"],
            "server": server["server"],
            "states": server["states"],
            "open": server["open"],
            "idle": server["idle"],
            "waiting": server["waiting"],
            "requests": server["requests"],
            "failures": server["failures"],
            "websockets": server["websockets"],
            **latencies.get(server["server"], unknown),
        }
        for upstream in upstreams
        for server in upstream["servers"]
    ]
    return sorted(rows, key=lambda one: one["states"].keys() == {"up"}) if len(rows) > _MOST_ROWS else rows


def _quantum_safe_groups(scrape: Scrape) -> list[str]:
    """Those that were negotiated: the page gives them the colours of post-quantum key exchange."""
    names = {row["group"] for snapshot in scrape.snapshots for row in snapshot.get("handshakes", ())}
    return sorted(name for name in names if group_named(name).is_quantum_safe)


def _listener(one: ListenerRow) -> ListenerSummary:
    return {
        "name": one["name"],
        "addresses": one["addresses"],
        "pq": one["pq"],
        "groups": one["groups"],
        "connections_open": one["connections_open"],
        "connections_accepted": one["connections_accepted"],
        "hybrid_share": one["handshakes"]["hybrid_share"],
    }


def _classical(found: BreakingRow) -> ClassicalSection:
    return {
        "connections": found["connections"],
        "networks": found["networks"][:10],
        "user_agents": found["user_agents"][:10],
    }
