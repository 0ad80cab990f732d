"""One example of each log event, with the JSON and the sentence that it has.

The names and fields in the JSON are what operators search for: an event keeps them.
`docs/events.md` shows the sentences.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from config.values.problems import Problem
from proxy.observe.events import (
    adoption,
    alerts,
    audit,
    certificates,
    clients,
    maintenance,
    payload,
    process,
    relays,
    reloads,
    secrets,
    servers,
    tokens,
    upgrades,
    workers,
)
from proxy.observe.events.event import Event
from proxy.observe.startup import ListenerOffer, Offers

SUBJECTS: dict[str, ModuleType] = {
    "The process": process,
    "Alerts": alerts,
    "Reloads": reloads,
    "Upgrades": upgrades,
    "Worker processes": workers,
    "Connections of clients": clients,
    "TCP and passthrough": relays,
    "Servers": servers,
    "Maintenance": maintenance,
    "Handshakes by day": adoption,
    "Certificates": certificates,
    "Tokens": tokens,
    "Sealing, session tickets and the fleet": secrets,
    "Payload encryption": payload,
    "The audit log": audit,
}
"""The modules of the catalogue, in the order of the document."""


@dataclass(frozen=True, slots=True)
class Example:
    """An event, its JSON (compared after a round trip) and its sentence."""

    event: Event
    facts: dict[str, Any]
    sentence: str


SERVER = "http://10.0.0.1:8000"
_WORKER = {"slot": 1, "pid": 4242}
_CREDENTIAL = {"identity": "chat", "credential": "ec"}
_ADDRESSES = {"public": ["0.0.0.0:443"], "http": ["0.0.0.0:80"]}
_PROBLEM = Problem("plexigate.toml", "log.file", "a directory", "a file", line=3, column=1)

OFFERS = Offers(
    hot_path="compiled",
    openssl="3.5.6",
    libssl="/usr/lib/libssl.so.3",
    providers=("default 3.5.6",),
    listeners=(
        ListenerOffer(
            name="public",
            pq="preferred",
            groups="X25519MLKEM768 X25519",
            cipher_suites="TLS_AES_128_GCM_SHA256",
            identities={"chat": ["ec-p256"]},
        ),
    ),
)


def _problem(severity: str) -> dict[str, Any]:
    return {
        "file": "plexigate.toml",
        "key": "log.file",
        "found": "a directory",
        "allowed": "a file",
        "severity": severity,
        "line": 3,
        "column": 1,
    }


EXAMPLES = (
    # -- the process
    Example(
        process.ProxyReady.of(OFFERS, _ADDRESSES, ["127.0.0.1:9300"], 2),
        {
            "event": "ready",
            "workers": 2,
            "hot_path": "compiled",
            "openssl": "3.5.6",
            "libssl": "/usr/lib/libssl.so.3",
            "providers": ["default 3.5.6"],
            "metrics": ["127.0.0.1:9300"],
            "listeners": _ADDRESSES,
            "offers": {
                "public": {
                    "pq": "preferred",
                    "groups": "X25519MLKEM768 X25519",
                    "cipher_suites": "TLS_AES_128_GCM_SHA256",
                    "identities": {"chat": ["ec-p256"]},
                }
            },
        },
        "ready: hot path compiled; OpenSSL 3.5.6 (/usr/lib/libssl.so.3), providers: default 3.5.6; workers: 2",
    ),
    Example(
        process.Stopped(
            handshakes=[{"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 41}],
            failures=[{"listener": "public", "reason": "timeout", "count": 1}],
            requests=[{"listener": "public", "status": "2xx", "count": 99}],
        ),
        {
            "event": "stopped",
            "handshakes": [{"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 41}],
            "failures": [{"listener": "public", "reason": "timeout", "count": 1}],
            "requests": [{"listener": "public", "status": "2xx", "count": 99}],
        },
        "stopped: 99 requests; handshakes: 41 hybrid; failures: 1",
    ),
    Example(
        process.Drained(4242),
        {"event": "drained", "pid": 4242},
        "process 4242, which was started before the restart or upgrade, has ended its last connection",
    ),
    Example(
        process.UnexpectedError.of(ValueError("no such key")),
        {"event": "error", "error": "ValueError", "detail": "no such key"},
        "unexpected ValueError: no such key",
    ),
    Example(
        process.ConfigurationWarning.of(Problem.from_json(_problem("warning"))),
        {"event": "warning", **_problem("warning")},
        "plexigate.toml:3:1: log.file: warning: found a directory; better: a file",
    ),
    Example(
        process.SocketUnused("old", "[::]:8443"),
        {"event": "socket_unused", "name": "old", "address": "[::]:8443"},
        "the socket old at [::]:8443 from the service manager belongs to no listener: its clients get no answer; "
        "give a listener this name or address",
    ),
    Example(
        process.Http3Offered("public", 443),
        {"event": "http3_offered", "listener": "public", "port": 443},
        "listener public serves HTTP/3: clients are told to use UDP port 443",
    ),
    Example(
        process.Http3NotOffered("public", "no answer within 5 s"),
        {"event": "http3_not_offered", "listener": "public", "reason": "no answer within 5 s"},
        "listener public does not offer HTTP/3: no answer within 5 s; clients use HTTP/2",
    ),
    Example(
        process.Http3HandOnFailed("public", "Too many open files"),
        {"event": "http3_hand_on_failed", "listener": "public", "error": "Too many open files"},
        "listener public: other workers cannot hand on packets of HTTP/3 to this one: Too many open files; its "
        "connections end in an upgrade",
    ),
    Example(
        process.AdminCrowded("the admin socket", 32, 7),
        {"event": "admin_crowded", "socket": "the admin socket", "connections": 32, "sent_away": 7},
        "the admin socket has 32 connections: each new one replaces an older one, first those without a request; "
        "7 were closed so far",
    ),
    Example(
        process.SpoolFailed("No space left on device"),
        {"event": "spool_failed", "detail": "No space left on device"},
        "responses for slow clients cannot be spooled to disk: No space left on device",
    ),
    Example(
        process.LogNotReopened("Permission denied"),
        {"event": "log_not_reopened", "detail": "Permission denied"},
        "the log file could not be opened again, the previous one stays in use: Permission denied",
    ),
    Example(process.LogLinesLost(12), {"event": "log_lines_lost", "count": 12}, "12 log lines were lost"),
    # -- reloads
    Example(reloads.ReloadBegun("SIGHUP"), {"event": "reloading", "cause": "SIGHUP"}, "reloading: SIGHUP"),
    Example(
        reloads.Reloaded(2, ["log.format: json -> pretty"]),
        {"event": "reloaded", "generation": 2, "changes": ["log.format: json -> pretty"]},
        "reloaded: 1 change, generation 2",
    ),
    Example(
        reloads.ReloadFailed([_PROBLEM]),
        {"event": "reload_failed", "problems": [_problem("error")]},
        "reload failed, the previous configuration stays in use: plexigate.toml:3:1: log.file: found a directory; "
        "allowed: a file",
    ),
    # -- upgrades
    Example(
        upgrades.UpgradeBegun("/opt/plexigate/bin/plexigate", 4343),
        {"event": "upgrade", "program": "/opt/plexigate/bin/plexigate", "pid": 4343},
        "upgrade: started /opt/plexigate/bin/plexigate, process 4343",
    ),
    Example(
        upgrades.UpgradeServing(4343, "0.2.0"),
        {"event": "upgrade_serving", "pid": 4343, "version": "0.2.0"},
        "upgrade: process 4343 serves by version 0.2.0",
    ),
    Example(
        upgrades.UpgradeFailed("preparing", "it ended with status 1"),
        {"event": "upgrade_failed", "phase": "preparing", "reason": "it ended with status 1"},
        "upgrade failed while preparing, the previous process serves as before: it ended with status 1",
    ),
    Example(
        upgrades.UpgradeStopped("proving", "a shutdown was requested"),
        {"event": "upgrade_stopped", "phase": "proving", "reason": "a shutdown was requested"},
        "upgrade aborted while proving: a shutdown was requested; both processes end",
    ),
    Example(
        upgrades.UpgradeLeft(4343),
        {"event": "upgrade_left", "pid": 4343},
        "upgrade: process 4343 has taken over; this process ends, its workers drain",
    ),
    Example(
        upgrades.UpgradeTakenOver("0.2.0", 2),
        {"event": "upgraded", "version": "0.2.0", "workers": 2},
        "upgraded: version 0.2.0 serves; 2 workers of the previous process drain",
    ),
    # -- workers
    Example(workers.WorkerJoined(**_WORKER), {"event": "worker_joined", **_WORKER}, "worker 1 (process 4242) serves"),
    Example(
        workers.WorkerDisowned(**_WORKER, detail="descriptors"),
        {"event": "worker_disowned", **_WORKER, "detail": "descriptors"},
        "worker 1 (process 4242) was killed for what it sent its parent: descriptors",
    ),
    Example(
        workers.WorkerEnded(**_WORKER, status=None),
        {"event": "worker_ended", **_WORKER, "status": None},
        "worker 1 (process 4242) ended with an unknown status; another one is started",
    ),
    Example(
        workers.WorkerEnded(**_WORKER, status=-11),
        {"event": "worker_ended", **_WORKER, "status": -11},
        "worker 1 (process 4242) ended with status -11; another one is started",
    ),
    Example(
        workers.WorkerFailed(1, "it was not ready in time (reload_timeout)"),
        {"event": "worker_failed", "slot": 1, "detail": "it was not ready in time (reload_timeout)"},
        "worker 1 could not be started: it was not ready in time (reload_timeout)",
    ),
    Example(
        workers.WorkerCommitFailed(**_WORKER, detail="MemoryError"),
        {"event": "worker_commit_failed", **_WORKER, "detail": "MemoryError"},
        "worker 1 (process 4242) is replaced, because it could not serve with the configuration that it had prepared: "
        "MemoryError",
    ),
    Example(
        workers.WorkerGivenUp(**_WORKER),
        {"event": "worker_given_up", **_WORKER},
        "worker 1 (process 4242) did not answer during a reload: another one has its place, and it drains if it answers again",
    ),
    Example(
        workers.WorkerStuck(**_WORKER),
        {"event": "worker_stuck", **_WORKER},
        "worker 1 (process 4242) does not answer: the others accept in its place",
    ),
    Example(
        workers.WorkerAnswers(**_WORKER),
        {"event": "worker_answers", **_WORKER},
        "worker 1 (process 4242) answers again",
    ),
    Example(
        workers.WorkerHopeless(**_WORKER),
        {"event": "worker_hopeless", **_WORKER},
        "worker 1 (process 4242) has not answered for too long: it is killed",
    ),
    Example(
        workers.WorkerBlind(**_WORKER, token="first", replaced=False),
        {"event": "worker_blind", **_WORKER, "token": "first", "replaced": False},
        "worker 1 (process 4242) cannot use the token first, which works: it stays, because each identity has another "
        "key that signs",
    ),
    Example(
        workers.WorkerBlind(**_WORKER, token="first", replaced=True),
        {"event": "worker_blind", **_WORKER, "token": "first", "replaced": True},
        "worker 1 (process 4242) cannot use the token first, which works: it is replaced",
    ),
    # -- clients
    Example(
        clients.ConnectionsTurnedAway("public", 30.0, {"connections": 512}, {}),
        {"event": "turned_away", "listener": "public", "seconds": 30.0, "reasons": {"connections": 512}, "clients": {}},
        "listener public, connections in 30 s: 512 refused by connections",
    ),
    Example(
        clients.ConnectionsTurnedAway("public", 1.0, {"shed_silent": 5, "connections": 3}, {"192.0.2.1": 8}),
        {
            "event": "turned_away",
            "listener": "public",
            "seconds": 1.0,
            "reasons": {"shed_silent": 5, "connections": 3},
            "clients": {"192.0.2.1": 8},
        },
        "listener public, connections in 1 s: 5 closed before their ClientHello, 3 refused by connections; "
        "most of them: 192.0.2.1 8 times",
    ),
    Example(
        clients.ListFetched("http://ca.example.org/clients.crl", "2026-12-01T10:00:00+00:00", 3),
        {
            "event": "list_fetched",
            "address": "http://ca.example.org/clients.crl",
            "until": "2026-12-01T10:00:00+00:00",
            "revoked": 3,
        },
        "new revocation list of http://ca.example.org/clients.crl, current until 2026-12-01 10:00 UTC, revoked: 3",
    ),
    Example(
        clients.ListNotFetched("http://ca.example.org/clients.crl", "Connection refused"),
        {
            "event": "list_not_fetched",
            "address": "http://ca.example.org/clients.crl",
            "detail": "Connection refused",
        },
        "the revocation list of http://ca.example.org/clients.crl was not renewed: Connection refused",
    ),
    Example(
        clients.HandshakeFailed("192.0.2.1", "public", None, "timeout", "no ClientHello came", None, (), 10_000.0),
        {
            "event": "handshake_failed",
            "client": "192.0.2.1",
            "listener": "public",
            "name": None,
            "reason": "timeout",
            "detail": "no ClientHello came",
            "alert": None,
            "groups": [],
            "duration_ms": 10_000.0,
        },
        "handshake failed, timeout: no ClientHello came; client 192.0.2.1",
    ),
    Example(
        clients.HandshakeFailed(
            "192.0.2.1",
            "public",
            "chat.example.org",
            "pq_policy",
            "the client offers no hybrid group",
            "handshake_failure",
            ("X25519", "0x9999"),
            1.5,
        ),
        {
            "event": "handshake_failed",
            "client": "192.0.2.1",
            "listener": "public",
            "name": "chat.example.org",
            "reason": "pq_policy",
            "detail": "the client offers no hybrid group",
            "alert": "handshake_failure",
            "groups": ["X25519", "0x9999"],
            "duration_ms": 1.5,
        },
        "handshake failed, pq_policy: the client offers no hybrid group (alert handshake_failure); client 192.0.2.1, "
        "which asked for chat.example.org and offered X25519, 0x9999",
    ),
    Example(
        clients.PageTokenWrong("192.0.2.1", 12),
        {"event": "page_token_wrong", "client": "192.0.2.1", "count": 12},
        "admin page: 12 wrong tokens, the latest from 192.0.2.1",
    ),
    Example(
        relays.TcpClosed(
            client="192.0.2.1",
            listener="irc",
            name="irc.example.org",
            group="X25519MLKEM768",
            outcome="hybrid",
            resumed=False,
            protocol="irc",
            upstream="irc",
            server="tcp://127.0.0.1:6667",
            bytes_in=1_204,
            bytes_out=88_113,
            duration_ms=61_500.0,
            reason="client_lost",
            detail="reset by peer",
            subject="CN=bot",
        ),
        {
            "event": "tcp_closed",
            "client": "192.0.2.1",
            "listener": "irc",
            "name": "irc.example.org",
            "group": "X25519MLKEM768",
            "outcome": "hybrid",
            "resumed": False,
            "protocol": "irc",
            "upstream": "irc",
            "server": "tcp://127.0.0.1:6667",
            "bytes_in": 1_204,
            "bytes_out": 88_113,
            "duration_ms": 61_500.0,
            "reason": "client_lost",
            "detail": "reset by peer",
            "subject": "CN=bot",
        },
        "TCP connection over, client_lost (reset by peer): client 192.0.2.1, irc.example.org to tcp://127.0.0.1:6667, "
        "1204 bytes in, 88113 out, 61.5 s",
    ),
    Example(
        relays.PassthroughClosed(
            "192.0.2.1", "public", "turn.example.org", ("X25519",), None, 0, 0, 12.0, "no_server", "it is down"
        ),
        {
            "event": "passthrough_closed",
            "client": "192.0.2.1",
            "listener": "public",
            "name": "turn.example.org",
            "groups": ["X25519"],
            "server": None,
            "bytes_in": 0,
            "bytes_out": 0,
            "duration_ms": 12.0,
            "reason": "no_server",
            "detail": "it is down",
        },
        "passed-on connection over, no_server (it is down): client 192.0.2.1, turn.example.org to no server, "
        "0 bytes in, 0 out, 0.0 s",
    ),
    Example(
        clients.ConnectionCut(
            client="192.0.2.1",
            listener="public",
            name="chat.example.org",
            group="X25519MLKEM768",
            outcome="hybrid",
            resumed=False,
            protocol="http/1.1",
            reason="tls_broken",
            detail="BAD_RECORD_MAC",
        ),
        {
            "event": "connection_cut",
            "client": "192.0.2.1",
            "listener": "public",
            "name": "chat.example.org",
            "group": "X25519MLKEM768",
            "outcome": "hybrid",
            "resumed": False,
            "protocol": "http/1.1",
            "reason": "tls_broken",
            "detail": "BAD_RECORD_MAC",
        },
        "connection closed, tls_broken: BAD_RECORD_MAC; client 192.0.2.1",
    ),
    # -- servers
    Example(
        servers.ServerUp("chat", SERVER),
        {"event": "server_up", "upstream": "chat", "server": SERVER},
        f"server {SERVER} of upstream chat is up",
    ),
    Example(
        servers.ServerDown("chat", SERVER),
        {"event": "server_down", "upstream": "chat", "server": SERVER},
        f"server {SERVER} of upstream chat is down",
    ),
    Example(
        servers.ServerDraining("chat", SERVER, 90.0),
        {"event": "server_draining", "upstream": "chat", "server": SERVER, "seconds": 90.0},
        f"server {SERVER} of upstream chat gets no new requests; its WebSockets have 90 s",
    ),
    Example(
        servers.ServerDraining("chat", SERVER, 90.0, "no other server takes requests"),
        {
            "event": "server_draining",
            "upstream": "chat",
            "server": SERVER,
            "seconds": 90.0,
            "warning": "no other server takes requests",
        },
        f"server {SERVER} of upstream chat gets no new requests; its WebSockets have 90 s; "
        "no other server takes requests",
    ),
    Example(
        servers.ServerUndrained("chat", SERVER),
        {"event": "server_undrained", "upstream": "chat", "server": SERVER},
        f"server {SERVER} of upstream chat gets requests again",
    ),
    Example(
        adoption.AdoptionSetAside(
            "/var/lib/plexigate/adoption.json",
            "the content of another version",
            "/var/lib/plexigate/adoption.json.damaged",
        ),
        {
            "event": "adoption_set_aside",
            "file": "/var/lib/plexigate/adoption.json",
            "found": "the content of another version",
            "kept_as": "/var/lib/plexigate/adoption.json.damaged",
        },
        "/var/lib/plexigate/adoption.json has the content of another version: it is now"
        " /var/lib/plexigate/adoption.json.damaged, and the counts of handshakes start again",
    ),
    Example(
        adoption.AdoptionNotKept("/var/lib/plexigate/adoption.json", "No space left on device"),
        {
            "event": "adoption_not_kept",
            "file": "/var/lib/plexigate/adoption.json",
            "reason": "No space left on device",
        },
        "/var/lib/plexigate/adoption.json: No space left on device: a restart will forget the counts of"
        " handshakes by day",
    ),
    Example(
        maintenance.MaintenanceBegun("chat.example.org/", 300, None),
        {"event": "maintenance_begun", "route": "chat.example.org/", "retry_after": 300},
        "route chat.example.org/ is under maintenance: clients get 503",
    ),
    Example(
        maintenance.MaintenanceBegun("chat.example.org/", 300, "10.0.0.0/8"),
        {
            "event": "maintenance_begun",
            "route": "chat.example.org/",
            "retry_after": 300,
            "allowed": "10.0.0.0/8",
        },
        "route chat.example.org/ is under maintenance: clients get 503; clients of 10.0.0.0/8 are served",
    ),
    Example(
        maintenance.MaintenanceEnded("chat.example.org/"),
        {"event": "maintenance_ended", "route": "chat.example.org/"},
        "route chat.example.org/ is back in service",
    ),
    Example(
        servers.HealthChecksNotMade("chat", SERVER, "Too many open files", 1, 1),
        {
            "event": "health_checks_not_made",
            "upstream": "chat",
            "server": SERVER,
            "detail": "Too many open files",
            "servers": 1,
            "not_made": 1,
        },
        f"the health check of {SERVER} of upstream chat could not be made: Too many open files; "
        "until it can, the previous result counts",
    ),
    Example(
        servers.HealthChecksNotMade("chat", SERVER, "Too many open files", 3, 201),
        {
            "event": "health_checks_not_made",
            "upstream": "chat",
            "server": SERVER,
            "detail": "Too many open files",
            "servers": 3,
            "not_made": 201,
        },
        f"the health check of {SERVER} of upstream chat and of 2 more could not be made: Too many open files; "
        "until it can, the previous result counts",
    ),
    Example(
        servers.HealthChecksMade(201),
        {"event": "health_checks_made", "not_made": 201},
        "all health checks are made again; 201 could not be made so far",
    ),
    # -- certificates
    Example(
        certificates.RotationBegun("chat", "ec", "its lifetime runs out"),
        {"event": "rotation", **_CREDENTIAL, "reason": "its lifetime runs out"},
        "rotating the ec credential of chat: its lifetime runs out",
    ),
    Example(
        certificates.CredentialRotated("chat", "ec", 7, "2027-02-25T10:00:00+00:00"),
        {"event": "rotated", **_CREDENTIAL, "version": 7, "not_after": "2027-02-25T10:00:00+00:00"},
        "all workers serve the new ec credential of chat, valid until 2027-02-25 10:00 UTC",
    ),
    Example(
        certificates.RotationFailed("chat", "ec", "issue", "temporary", "the CA does not answer"),
        {
            "event": "rotation_failed",
            **_CREDENTIAL,
            "step": "issue",
            "kind": "temporary",
            "detail": "the CA does not answer",
        },
        "the ec credential of chat was not rotated, the previous one stays in use (issue): the CA does not answer",
    ),
    Example(
        certificates.RevocationFailed("chat", "ec", "version 6 could not be revoked"),
        {"event": "revocation_failed", **_CREDENTIAL, "detail": "version 6 could not be revoked"},
        "the ec credential of chat: version 6 could not be revoked; it is tried again",
    ),
    Example(
        certificates.CertificateUrgent("chat", "ec", "grave", "its lifetime runs out", "the CA does not answer"),
        {
            "event": "certificate_urgent",
            **_CREDENTIAL,
            "urgency": "grave",
            "reason": "its lifetime runs out",
            "detail": "the CA does not answer",
        },
        "the ec credential of chat should have been replaced (grave): the CA does not answer",
    ),
    Example(
        certificates.WindowUnknown("le", "the CA does not answer"),
        {"event": "window_unknown", "issuer": "le", "detail": "the CA does not answer"},
        "le did not say when it wants certificates renewed: the CA does not answer",
    ),
    Example(
        certificates.RotationMemoryLost("PermissionError: rotation.json"),
        {"event": "rotation_memory_lost", "detail": "PermissionError: rotation.json"},
        "rotation.json, which keeps pauses and counts across restarts, could not be read or written: "
        "PermissionError: rotation.json",
    ),
    Example(
        alerts.AlertRaised(
            *("upstream_down", "chat", "critical", "upstream chat has no server that takes requests"),
            "Check the servers that the text names.",
        ),
        {
            "event": "alert_raised",
            "kind": "upstream_down",
            "subject": "chat",
            "urgency": "critical",
            "text": "upstream chat has no server that takes requests",
            "remedy": "Check the servers that the text names.",
        },
        "alert (critical): upstream chat has no server that takes requests. Check the servers that the text names.",
    ),
    Example(
        alerts.AlertResolved("upstream_down", "chat", 62.5),
        {"event": "alert_resolved", "kind": "upstream_down", "subject": "chat", "seconds": 62.5},
        "the alert upstream_down of chat is resolved after 62 s",
    ),
    Example(
        alerts.AlertFailed("alerts.example.org", "it answered with status 500"),
        {"event": "alert_failed", "to": "alerts.example.org", "detail": "it answered with status 500"},
        "an alert could not be sent to alerts.example.org, it is tried again: it answered with status 500",
    ),
    Example(
        alerts.AlertsArriveAgain("alerts.example.org", 3, 0),
        {"event": "alerts_arrive_again", "to": "alerts.example.org", "attempts": 3, "dropped": 0},
        "alerts.example.org accepts alerts again after 3 failed attempts; 0 alerts were dropped",
    ),
    Example(
        certificates.AuthorityNotShared("internal", "the disk is full"),
        {"event": "authority_not_shared", "issuer": "internal", "detail": "the disk is full"},
        "issuer internal could not be exchanged with the fleet: the disk is full",
    ),
    Example(
        certificates.KeysCleaned("the key of version 5 of the ec credential of chat was destroyed"),
        {"event": "keys", "detail": "the key of version 5 of the ec credential of chat was destroyed"},
        "the key of version 5 of the ec credential of chat was destroyed",
    ),
    Example(
        certificates.ListsPublished("internal"),
        {"event": "lists_published", "issuer": "internal"},
        "issuer internal has renewed its revocation lists",
    ),
    Example(
        certificates.ListsUnpublished("internal", "the token is gone"),
        {"event": "lists_not_published", "issuer": "internal", "detail": "the token is gone"},
        "issuer internal could not renew its revocation lists: the token is gone",
    ),
    Example(
        certificates.LogNotRead("https://ct.example.org/2026", "Connection refused"),
        {"event": "log_not_read", "log": "https://ct.example.org/2026", "detail": "Connection refused"},
        "the log https://ct.example.org/2026 was not read: Connection refused",
    ),
    Example(
        certificates.AcmeProgress("le: issued for chat.example.org"),
        {"event": "acme", "detail": "le: issued for chat.example.org"},
        "le: issued for chat.example.org",
    ),
    Example(
        certificates.ChallengeAnswered("192.0.2.1", "public", "chat.example.org"),
        {"event": "challenge_answered", "client": "192.0.2.1", "listener": "public", "name": "chat.example.org"},
        "192.0.2.1 fetched the tls-alpn-01 challenge for chat.example.org",
    ),
    # -- tokens
    Example(
        tokens.TokenBreaker("first", "open"),
        {"event": "token", "token": "first", "state": "open"},
        "token first: breaker open",
    ),
    Example(
        tokens.TokenCondition("first", "well"),
        {"event": "token_condition", "token": "first", "condition": "well"},
        "token first: a probe by the parent succeeded",
    ),
    Example(
        tokens.TokenCondition("first", "pin_refused", "file pin.txt", "CKR_PIN_INCORRECT"),
        {
            "event": "token_condition",
            "token": "first",
            "condition": "pin_refused",
            "pin_source": "file pin.txt",
            "detail": "CKR_PIN_INCORRECT",
        },
        "token first, PIN from the file pin.txt: CKR_PIN_INCORRECT; no process tries it again before you correct it "
        "and reload",
    ),
    Example(
        tokens.TokenCondition("first", "absent", detail="no such token"),
        {"event": "token_condition", "token": "first", "condition": "absent", "detail": "no such token"},
        "token first: a probe by the parent failed, it is repeated: no such token",
    ),
    Example(
        tokens.TokenKeyChanged("first", "pkcs11:token=first;object=chat", ["chat", "files"], "found"),
        {
            "event": "token_key",
            "token": "first",
            "key": "pkcs11:token=first;object=chat",
            "identities": ["chat", "files"],
            "state": "found",
        },
        "key pkcs11:token=first;object=chat of chat, files: token first has it again",
    ),
    Example(
        tokens.TokenKeyChanged("first", "pkcs11:token=first;object=chat", ["chat", "files"], "missing"),
        {
            "event": "token_key",
            "token": "first",
            "key": "pkcs11:token=first;object=chat",
            "identities": ["chat", "files"],
            "state": "missing",
        },
        "key pkcs11:token=first;object=chat of chat, files: token first has no such key, or the key cannot sign",
    ),
    Example(
        tokens.ModuleSkipped("first"),
        {"event": "module_skipped", "token": "first"},
        "token first does not answer, and no worker became ready: the workers start without its module, and load it "
        "once a probe of a token of this module succeeds",
    ),
    # -- secrets
    Example(secrets.TicketsRotated(), {"event": "tickets_rotated"}, "session ticket keys rotated"),
    Example(
        secrets.TicketRotationFailed("worker 1 does not answer"),
        {"event": "ticket_rotation_failed", "detail": "worker 1 does not answer"},
        "session ticket keys could not be rotated: worker 1 does not answer",
    ),
    Example(
        secrets.TicketsNotKept("No space left on device"),
        {"event": "tickets_not_kept", "detail": "No space left on device"},
        "session ticket keys could not be stored, sessions end with this process: No space left on device",
    ),
    Example(
        secrets.Unsealed(["chat", "files"]),
        {"event": "unsealed", "identities": ["chat", "files"]},
        "the sealing key is available: the keys of chat, files are open",
    ),
    Example(
        secrets.SealingRenewed(["rotated the keys for tickets", "sealed 1 file again"]),
        {"event": "sealing_renewed", "done": ["rotated the keys for tickets", "sealed 1 file again"]},
        "what is sealed was renewed: rotated the keys for tickets; sealed 1 file again",
    ),
    Example(
        secrets.SealingNotRenewed("the token plexi does not answer"),
        {"event": "sealing_not_renewed", "detail": "the token plexi does not answer"},
        "what is sealed could not be renewed, the parent tries again: the token plexi does not answer",
    ),
    Example(
        secrets.NotUnsealed("the token first does not answer"),
        {"event": "not_unsealed", "detail": "the token first does not answer"},
        "sealed keys cannot be opened, the parent tries again: the token first does not answer",
    ),
    Example(
        secrets.FleetJoined("edge-2", 1),
        {"event": "fleet_joined", "node": "edge-2", "epoch": 1},
        "edge-2 has joined its fleet, epoch 1",
    ),
    Example(
        secrets.FleetRekeyed(2, "edge-3", "edge-1"),
        {"event": "fleet_rekeyed", "epoch": 2, "expelled": "edge-3", "by": "edge-1"},
        "edge-3 was expelled from the fleet by edge-1: its key is of epoch 2 now",
    ),
    Example(secrets.FleetLed("edge-1"), {"event": "fleet_led", "node": "edge-1"}, "edge-1 leads its fleet"),
    Example(
        secrets.FleetAway("https://10.0.0.1:2379: no answer within 1.5 s"),
        {"event": "fleet_away", "detail": "https://10.0.0.1:2379: no answer within 1.5 s"},
        "the store of the fleet cannot be used, the node serves by what it has: https://10.0.0.1:2379: no answer within 1.5 s",
    ),
    Example(secrets.FleetBack(), {"event": "fleet_back"}, "the store of the fleet can be used again"),
    Example(secrets.FleetNodeAlive("edge-2"), {"event": "fleet_node_alive", "node": "edge-2"}, "edge-2 is there"),
    Example(
        secrets.FleetNodeGone("edge-2"),
        {"event": "fleet_node_gone", "node": "edge-2"},
        "edge-2 is gone, or does not reach the store",
    ),
    Example(
        secrets.FleetConfigurationSeen("edge-2", "c1" * 32),
        {"event": "fleet_configuration_seen", "node": "edge-2", "sha256": "c1" * 32},
        "edge-2 serves by configuration c1c1c1c1c1c1",
    ),
    Example(
        secrets.FleetLogBroken("edge-2", "it has 6 lines, and had 7"),
        {"event": "fleet_log_broken", "node": "edge-2", "detail": "it has 6 lines, and had 7"},
        "the audit log of edge-2 does not go on from where it was: it has 6 lines, and had 7",
    ),
    # -- payload
    Example(
        payload.PayloadKeyRotated("chat", 4),
        {"event": "payload_key_rotated", "ring": "chat", "version": 4},
        "payload ring chat: key 4 encrypts from now on",
    ),
    Example(
        payload.PayloadKeyRetired("chat", 2),
        {"event": "payload_key_retired", "ring": "chat", "version": 2},
        "payload ring chat: key 2 retired",
    ),
    Example(
        payload.PayloadKeyRevoked("chat", 3),
        {"event": "payload_key_revoked", "ring": "chat", "version": 3},
        "payload ring chat: key 3 revoked",
    ),
    Example(
        payload.PayloadRotationFailed("chat", "No space left on device"),
        {"event": "payload_rotation_failed", "ring": "chat", "detail": "No space left on device"},
        "payload ring chat could not be rotated: No space left on device",
    ),
    Example(
        payload.PayloadRingExported("chat"),
        {"event": "payload_ring_exported", "ring": "chat"},
        "payload ring chat: its keys were exported",
    ),
    # -- the audit log
    Example(
        audit.AuditLogBegun("a new audit log begins: 5d1c in audit.jsonl"),
        {"event": "audit_log_begun", "detail": "a new audit log begins: 5d1c in audit.jsonl"},
        "a new audit log begins: 5d1c in audit.jsonl",
    ),
    Example(
        audit.AuditCheckpoint("audit checkpoint 5d1c 1024 9f86"),
        {"event": "audit_checkpoint", "checkpoint": "audit checkpoint 5d1c 1024 9f86"},
        "audit checkpoint 5d1c 1024 9f86",
    ),
    Example(
        audit.AuditCheckpointUnsigned("the token first does not answer"),
        {"event": "audit_checkpoint_unsigned", "detail": "the token first does not answer"},
        "the checkpoint of the audit log is not signed: the token first does not answer",
    ),
    Example(
        audit.AuditLogFailed("No space left on device"),
        {"event": "audit_log_failed", "detail": "No space left on device"},
        "the audit log cannot be written: No space left on device",
    ),
    Example(
        audit.AuditLogWrittenAgain(3),
        {"event": "audit_log_written_again", "lost": 3},
        "the audit log is written again; 3 lines are lost",
    ),
    Example(audit.AuditLogLate(), {"event": "audit_log_late"}, "the audit log could not be finished in time"),
)
"""At least one of each class; where there are several, the last one is shown in the document."""


def classes(module: ModuleType) -> list[type[Event]]:
    """The events of a module, in their order."""
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Event)]
    return [one for one in found if one.__module__ == module.__name__]


def examples_of(module: ModuleType) -> list[Example]:
    """The examples of the events of a module."""
    return [one for one in EXAMPLES if type(one.event) in classes(module)]
