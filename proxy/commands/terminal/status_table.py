"""The status document as tables for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from proxy.api.status import (
    AlertRow,
    BackupRow,
    BreakingRow,
    HandshakesRow,
    ListenerRow,
    ReadinessDocument,
    ReasonRow,
    RevocationListRow,
    SealingRow,
    ServedCertificateRow,
    StatusDocument,
    TokenRow,
    UnmadeCheckRow,
    UpgradeRow,
    UpstreamRow,
    WatchedLogRow,
    WorkerRow,
)
from proxy.commands.terminal.request_tables import request_tables
from proxy.commands.terminal.tables import titled_table
from proxy.figures.totals import how_many
from proxy.observe.readiness import NotReadyReason, ReadinessSubject

# Clients of CAs usually renew a month before the end; a week before it the operator has to look.
_SOON_DAYS: Final = 30
_URGENT_DAYS: Final = 7
# Timers of a busy loop are some milliseconds late; people notice a tenth of a second.
_LATE_SECONDS: Final = 0.05
_SHOWN_CLIENTS: Final = 10
_SHOWN_ALERTS: Final = 5
URGENCY_STYLES: Final = {"critical": "bold red", "serious": "red", "warning": "yellow"}
"""How an alert is shown."""
_MINUTE = 60
_HOUR = 3_600
_DAY = 86_400
_WORKER_STYLES: Final = {"serving": "green", "silent": "bold red"}
_GOOD_STATES: Final = frozenset({"up", "slow-start"})


def status_tables(document: StatusDocument) -> RenderableType:
    """Show the document of `GET /status` on a screen or two."""
    return Group(*_parts(document))


def _parts(document: StatusDocument) -> Iterator[RenderableType]:
    reloads = ", ".join(f"{count} {result}" for result, count in document["reloads"].items()) or "none"
    yield Text.assemble(
        ("Plexigate ", "bold"),
        f"{document['version']}, up {duration(document['uptime_seconds'])}, generation {document['generation']}, "
        f"reloads: {reloads}, workers restarted: {document['worker_restarts']}",
    )
    yield from _readiness(document["readiness"])
    yield from _alerts(document["alerts"])
    for one in document["maintenance"]:
        since = duration(document["started_at"] + document["uptime_seconds"] - one["since"])
        yield Text(f"under maintenance for {since}: {one['route']}", "yellow")
    yield from _backup(document["backup"])
    yield from _upgrade(document["upgrade"], document["former_workers"])
    yield _workers(document["workers"])
    yield _listeners(document["listeners"])
    yield from _protocols(document["listeners"])
    yield from request_tables(document["routes"], document["protocols"])
    if any(one["relays"] for one in document["listeners"]):
        yield _relays(document["listeners"])
    yield _handshakes(document["handshakes"], document["failures"])
    yield from _breaking(document["breaking_under_require"])
    if document["tokens"]:
        yield _tokens(document["tokens"])
        yield from _missing_keys(document["tokens"])
    if document["upstreams"]:
        yield _upstreams(document["upstreams"])
        yield from _unmade_checks(document["unmade_checks"])
    if document["certificates"]:
        yield _certificates(document["certificates"])
    now = document["started_at"] + document["uptime_seconds"]
    yield from _lists_and_logs(document, now)
    sealing = document.get("sealing")  # which a proxy of before does not tell
    if sealing is not None:
        yield from _sealing(sealing, now)


def _readiness(told: ReadinessDocument) -> Iterator[RenderableType]:
    for one in told["reasons"]:
        yield Text(f"not ready: {_reason(one)}", "bold red")
    for one in told["doubts"]:
        yield Text(f"degraded: {_reason(one)}", "yellow")


def _reason(one: ReasonRow) -> str:
    return str(
        NotReadyReason(ReadinessSubject(one["subject"]), one["name"], one["detail"], tuple(one.get("routes", ())))
    )


def _alerts(alerts: Sequence[AlertRow]) -> Iterator[RenderableType]:
    if alerts:
        shown = ", ".join(f"{one['kind']} {one['subject']} ({one['urgency']})" for one in alerts[:_SHOWN_ALERTS])
        more = f", and {len(alerts) - _SHOWN_ALERTS} more" if len(alerts) > _SHOWN_ALERTS else ""
        line = f"{how_many(len(alerts), 'alert')} open: {shown}{more}; plexigate alerts shows what to do"
        yield Text(line, URGENCY_STYLES.get(alerts[0]["urgency"], "yellow"))


def _backup(backup: BackupRow | None) -> Iterator[RenderableType]:
    if backup is not None:
        age = backup["age_seconds"]
        found = "none" if age is None else f"{duration(age)} old"
        yield Text(f"newest backup in {backup['directory']}: {found}", "red" if backup["late"] else "")


def _upgrade(upgrade: UpgradeRow | None, former: Sequence[int]) -> Iterator[RenderableType]:
    if upgrade is not None:
        yield Text(f"upgrade: {upgrade['phase']}, process {upgrade['pid']} of {upgrade['program']}", "yellow")
    if former:
        yield Text(f"workers from before the upgrade that drain: {', '.join(map(str, former))}", "yellow")


def _workers(workers: Sequence[WorkerRow]) -> Table:
    table = titled_table(
        "Workers", "slot", ">pid", "state", "age", ">generation", ">connections", ">memory", ">loop lag p99"
    )
    for one in workers:
        lag = one["loop_lag_p99_seconds"]
        shown = "-" if lag is None else f"<= {lag * 1000:g} ms"
        table.add_row(
            str(one["slot"]),
            str(one["pid"]),
            Text(one["state"], _WORKER_STYLES.get(one["state"], "")),
            duration(one["age_seconds"]),
            "-" if one["generation"] is None else str(one["generation"]),
            str(sum(one["connections"].values())),
            size(one["rss_bytes"]),
            Text(shown, "yellow" if lag is not None and lag > _LATE_SECONDS else ""),
        )
    return table


def _listeners(listeners: Sequence[ListenerRow]) -> Table:
    table = titled_table(
        "Listeners", "name", "addresses", "pq", ">open", ">accepted", ">requests", ">5xx", ">hybrid", ">failures"
    )
    for one in listeners:
        requests = one["requests"]
        table.add_row(
            one["name"],
            Text("\n".join(one["addresses"])),
            one["pq"],
            str(one["connections_open"]),
            str(one["connections_accepted"]),
            str(sum(requests.values())),
            str(requests.get("5xx", 0)),
            share(one["handshakes"]["hybrid_share"]),
            str(sum(one["failures"].values())),
        )
    return table


def _protocols(listeners: Sequence[ListenerRow]) -> Iterator[Table]:
    if any(one["http2"]["connections"] for one in listeners):
        yield _http2(listeners)
    if any(one.get("http3") for one in listeners):  # a proxy of before has no such key
        yield _http3(listeners)


def _http2(listeners: Sequence[ListenerRow]) -> Table:
    table = titled_table("HTTP/2", "listener", ">connections", ">open", ">requests", ">streams open", "streams reset")
    for one in listeners:
        http2 = one["http2"]
        if http2["connections"]:
            table.add_row(
                one["name"],
                str(http2["connections"]),
                str(http2["connections_open"]),
                str(one["protocols"].get("h2", 0)),
                str(http2["streams_open"]),
                Text(", ".join(f"{cause} {count}" for cause, count in http2["resets"].items()) or "-"),
            )
    return table


def _http3(listeners: Sequence[ListenerRow]) -> Table:
    table = titled_table("HTTP/3", "listener", ">UDP port", ">connections", ">open", ">requests", "clients are told")
    for one in listeners:
        http3 = one.get("http3")
        if http3 is not None:
            told = "yes" if http3["fault"] is None else f"no: {http3['fault']}"
            table.add_row(
                one["name"],
                str(http3["port"]),
                str(http3["connections"]),
                str(http3["connections_open"]),
                str(one["protocols"].get("h3", 0)),
                Text(told, "" if http3["fault"] is None else "yellow"),
            )
    return table


def _relays(listeners: Sequence[ListenerRow]) -> Table:
    table = titled_table("TCP", "listener", "kind", ">connections", ">open", ">bytes in", ">bytes out", "ends")
    for one in listeners:
        for relays in one["relays"]:
            table.add_row(
                one["name"],
                relays["kind"],
                str(relays["connections"]),
                str(relays["connections_open"]),
                str(relays["bytes"]["from_client"]),
                str(relays["bytes"]["to_client"]),
                Text(", ".join(f"{reason} {count}" for reason, count in relays["ends"].items()) or "-"),
            )
    return table


def _handshakes(handshakes: HandshakesRow, failures: Mapping[str, int]) -> Table:
    table = titled_table("Handshakes", "", "")
    table.add_row(
        "hybrid", f"{share(handshakes['hybrid_share'])} of {handshakes['established']}, {handshakes['resumed']} resumed"
    )
    for name, counts in (
        ("outcomes", handshakes["by_outcome"]),
        ("groups", handshakes["by_group"]),
        ("failures", failures),
    ):
        if counts:
            table.add_row(name, Text(", ".join(f"{key} {count}" for key, count in counts.items())))
    table.show_header = False
    return table


def _breaking(breaking: BreakingRow) -> Iterator[RenderableType]:
    if not breaking["connections"]:
        yield Text("\npq = require would refuse none of the connections of today and yesterday.", "green")
        return
    connections = how_many(breaking["connections"], "connection")
    yield Text(f"\n{connections} since {breaking['since']} would be refused under pq = require:", "yellow")
    agents = [(one["user_agent"], one["connections"], one["error"]) for one in breaking["user_agents"]]
    networks = [(one["network"], one["connections"], one["error"]) for one in breaking["networks"]]
    for title, column, entries in (("By user agent", "user agent", agents), ("By network", "network", networks)):
        table = titled_table(title, column, ">connections", ">of these uncertain")
        for client, count, error in entries[:_SHOWN_CLIENTS]:
            table.add_row(Text(client), str(count), str(error or ""))
        if len(entries) > _SHOWN_CLIENTS:
            table.caption = f"and {len(entries) - _SHOWN_CLIENTS} more, see --json"
        yield table


def _tokens(tokens: Sequence[TokenRow]) -> Table:
    table = titled_table(
        "Tokens",
        "token",
        "parent",
        "PIN",
        "breakers",
        ">queued",
        ">signing",
        ">threads",
        ">lost",
        ">sessions",
        "last good",
    )
    for one in tokens:
        workers = one["workers"]
        states = [worker["state"] for worker in workers]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        shown = ", ".join(counts if len(counts) == 1 else (f"{state} ({n})" for state, n in counts.items()))
        age = one["last_good_seconds"]
        table.add_row(
            Text(one["token"]),
            Text(one["parent"], "green" if one["parent"] == "well" else "bold red"),
            Text("refused", "bold red") if one["pin_refused"] else Text("good"),
            Text(shown or "-", "green" if set(states) <= {"closed"} else "bold red"),
            str(sum(worker["queued"] for worker in workers)),
            str(sum(worker["signing"] for worker in workers)),
            str(sum(worker["threads"] for worker in workers)),
            str(sum(worker["lost"] for worker in workers)),
            f"{one['sessions']} of {one['session_limit']}",
            "-" if age is None else f"{duration(age)} ago",
        )
    return table


def _missing_keys(tokens: Sequence[TokenRow]) -> Iterator[RenderableType]:
    for token in tokens:
        for one in token["missing_keys"]:
            users = ", ".join(one["identities"])
            yield Text(f"{token['token']}: key {one['key']} of {users} is missing or cannot sign", "bold red")


def _upstreams(upstreams: Sequence[UpstreamRow]) -> Table:
    table = titled_table(
        "Upstreams",
        "upstream",
        "server",
        "state",
        ">open",
        ">idle",
        ">waiting",
        ">WebSockets",
        ">requests",
        ">failures",
        ">wait",
    )
    for upstream in upstreams:
        for one in upstream["servers"]:
            states = one["states"]
            # workers may disagree: each one sees its own failures
            shown = ", ".join(states if len(states) == 1 else (f"{state} ({n})" for state, n in states.items()))
            mean = one["wait_seconds"] / one["requests"] if one["requests"] else 0.0
            table.add_row(
                upstream["name"],
                Text(one["server"]),
                Text(shown, "green" if _GOOD_STATES.issuperset(states) else "bold red"),
                str(one["open"]),
                str(one["idle"]),
                str(one["waiting"]),
                str(one["websockets"]),
                str(one["requests"]),
                str(one["failures"]),
                f"{mean * 1000:.1f} ms",
            )
    table.caption = "wait: mean time for a free connection"
    return table


def _unmade_checks(unmade: Sequence[UnmadeCheckRow]) -> Iterator[RenderableType]:
    for one in unmade:
        if one["reason"] is not None:
            line = f"the health check of {one['server']} of upstream {one['upstream']} cannot be made: {one['reason']}"
            yield Text(line, "bold red")


def _sealing(sealing: SealingRow, now: float) -> Iterator[RenderableType]:
    age = "of unknown age" if sealing["since"] is None else f"since {duration(now - sealing['since'])}"
    oldest = min(sealing["keys_since"].values(), default=now)
    yield Text(f"\nsealing key: {sealing['key']}, {age}; the oldest key below it seals since {duration(now - oldest)}")
    if sealing["is_previous"] and sealing["previous_until"] is not None:
        left = duration(max(0.0, sealing["previous_until"] - now))
        yield Text(f"the configuration names the sealing key before it, which opens for {left} more", "yellow")
    if sealing["error"] is not None:
        yield Text(f"what is sealed could not be renewed: {sealing['error']}", "bold red")


def _certificates(certificates: Sequence[ServedCertificateRow]) -> Table:
    table = titled_table("Certificates", "identity", "algorithm", "token", "names", ">days left")
    for one in sorted(certificates, key=lambda one: one["days_left"]):
        days = one["days_left"]
        style = "bold red" if days < _URGENT_DAYS else "yellow" if days < _SOON_DAYS else "green"
        shown = "expired" if days < 0 else f"{days:.0f}"
        token = ", ".join(one["tokens"]) or "-"
        table.add_row(one["identity"], one["algorithm"], token, Text(", ".join(one["names"])), Text(shown, style))
    return table


def _lists_and_logs(document: StatusDocument, now: float) -> Iterator[RenderableType]:
    # a proxy of an older version has neither
    if lists := document.get("revocation_lists"):
        yield _revocation_lists(lists, now)
    if logs := document.get("watched_logs"):
        yield _watched_logs(logs)


def _revocation_lists(lists: Sequence[RevocationListRow], now: float) -> Table:
    table = titled_table("Revocation lists", "of", "name", ">left", "no newer one because")
    for one in lists:
        left = one["expires_at"] - now
        shown = duration(left) if left > 0 else "expired" if one["expires_at"] else "none yet"
        table.add_row(one["of"], one["name"], Text(shown, "" if left > 0 else "bold red"), Text(one["fault"] or "-"))
    return table


def _watched_logs(logs: Sequence[WatchedLogRow]) -> Table:
    table = titled_table("Watched logs", "log", ">read", ">entries", "not read because")
    for one in logs:
        table.add_row(one["log"], str(one["read"]), str(one["size"]), Text(one["fault"] or "-"))
    return table


def share(value: float | None) -> str:
    """Format a share in percent. Only a full share is shown as 100 %: 0.9999 is 99.9 %."""
    if value is None:
        return "-"
    return "100 %" if value == 1 else f"{min(value * 100, 99.9):.1f} %"


def duration(seconds: float) -> str:
    """Format seconds in their two largest units."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def size(count: int) -> str:
    """Format bytes as megabytes."""
    return f"{count / 1_000_000:.1f} MB"
