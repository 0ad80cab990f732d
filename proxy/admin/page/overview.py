"""What the page shows of this moment: a document of sections, so that only those go out that have
changed. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from proxy.observe.busiest import busiest
from proxy.observe.history.history import History
from proxy.observe.scrape import CertificateFacts, Scrape
from proxy.observe.status import status
from proxy.tls.groups import KNOWN, classify

# What a person can read. The page says how many more there are.
_MOST_ROWS: Final = 100
_MOST_CLIENTS: Final = 10

Overview = dict[str, Any]
"""The sections by name. Each is what `json` writes."""


def overview(scrape: Scrape, history: History, issued: Sequence[Mapping[str, Any]], hot_path: str) -> Overview:
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
        "configuration": {
            **(told["configuration"] or {}),
            "text": scrape.configuration.text if scrape.configuration else "",
        },
    }


def _sentence(readiness: Mapping[str, Any]) -> str:
    """Whether the proxy is ready, in one sentence."""
    reasons, doubts = readiness["reasons"], readiness["doubts"]
    if reasons:
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        return f"Not ready: {_reason(reasons[0])}{more}."
    if doubts:
        more = f", and {len(doubts) - 1} more" if len(doubts) > 1 else ""
        return f"Ready, with a doubt: {_reason(doubts[0])}{more}."
    return "Ready: every worker, certificate and route can serve."


def _reason(one: Mapping[str, Any]) -> str:
    return " ".join(str(one[part]) for part in ("subject", "name", "detail") if one[part])


def _first(rows: Sequence[Any]) -> dict[str, Any]:
    return {"rows": list(islice(rows, _MOST_ROWS)), "more": max(0, len(rows) - _MOST_ROWS)}


def _certificates(scrape: Scrape, issued: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each credential, the first to expire first. Times are in UNIX seconds."""
    found = [_of_file(one) for one in scrape.certificates if not one.is_issued]
    found += [_issued(one) for one in issued]
    return sorted(found, key=lambda one: (one["expires_at"] or 0.0, one["identity"], one["credential"]))


def _of_file(one: CertificateFacts) -> dict[str, Any]:
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


def _issued(one: Mapping[str, Any]) -> dict[str, Any]:
    following = one["next"] or {}
    return {
        "identity": one["identity"],
        "credential": one["credential"],
        "names": one["names"],
        "issuer": one["issuer"],
        "place": one["key"]["place"],
        "begins_at": _seconds(one["not_before"]),
        "expires_at": _seconds(one["not_after"]),
        "next_at": _seconds(following.get("at")),
        "urgency": following.get("urgency"),
        "error": one["last_error"],
    }


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).timestamp()


def _token(one: Mapping[str, Any]) -> dict[str, Any]:
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


def _servers(
    upstreams: Sequence[Mapping[str, Any]], latencies: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """One row for each server. If not all have room, those that are not up come first.

    The latencies are those of the address, in all upstreams that have it.
    """
    unknown = {"p50": None, "p99": None}
    kept = ("server", "states", "open", "idle", "waiting", "requests", "failures", "websockets")
    rows = [
        {
            "upstream": upstream["name"],
            **{name: server.get(name) for name in kept},
            **latencies.get(server["server"], unknown),
        }
        for upstream in upstreams
        for server in upstream["servers"]
    ]
    return sorted(rows, key=lambda one: one["states"].keys() == {"up"}) if len(rows) > _MOST_ROWS else rows


def _quantum_safe_groups(scrape: Scrape) -> list[str]:
    """Those that were negotiated: the page gives them the colours of post-quantum key exchange."""
    snapshots = [scrape.retained or {}, *(worker.snapshot for worker in scrape.workers)]
    names = {row["group"] for snapshot in snapshots for row in snapshot.get("handshakes", ())}
    return sorted(name for name in names if (KNOWN.get(name.lower()) or classify(name, 0)).is_quantum_safe)


def _listener(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "addresses", "pq", "groups", "connections_open", "connections_accepted")
    return {**{name: one[name] for name in kept}, "hybrid_share": one["handshakes"]["hybrid_share"]}


def _classical(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "connections": found["connections"],
        "networks": found["networks"][:10],
        "user_agents": found["user_agents"][:10],
    }
