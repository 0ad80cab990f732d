"""Every metric: its name, what it means, and where in a snapshot its values stand. Pure.

Names follow Prometheus: base units, `_total` for what only grows. Each metric reads one family of rows (`merging`): `labels` are
keys of a row, `value` is the key of its number, and of a histogram the keys are `counts` and `sum`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from proxy.observe.histogram import HANDSHAKE_SECONDS, LAG_SECONDS, REQUEST_SECONDS, SIGNING_SECONDS
from proxy.observe.tokens import WAIT_SECONDS


class Kind(StrEnum):
    """What a metric does."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `meaning` is its HELP. `bounds` are those of a histogram's buckets."""

    name: str
    kind: Kind
    meaning: str
    family: str
    value: str = "count"
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _counter(name: str, meaning: str, family: str, *labels: str, value: str = "count") -> Metric:
    return Metric(f"plexigate_{name}_total", Kind.COUNTER, meaning, family, value, labels)


def _gauge(name: str, meaning: str, family: str, *labels: str, value: str = "count") -> Metric:
    return Metric(f"plexigate_{name}", Kind.GAUGE, meaning, family, value, labels)


def _histogram(name: str, meaning: str, bounds: tuple[float, ...], *labels: str, family: str) -> Metric:
    return Metric(f"plexigate_{name}", Kind.HISTOGRAM, meaning, family, "counts", labels, bounds)


_SERVER: Final = ("upstream", "server")

METRICS: Final = (
    # clients
    _counter(
        "handshakes",
        "Handshakes by how their key exchange ended.",
        "handshakes",
        *("listener", "identity", "outcome", "group", "version", "resumed"),
    ),
    _histogram(
        "handshake_seconds",
        "From the accept to the end of a handshake that succeeded.",
        HANDSHAKE_SECONDS,
        "listener",
        family="handshake_seconds",
    ),
    _histogram(
        "signing_seconds",
        "The step of a full handshake that signs; with a key in a file it includes the key exchange.",
        SIGNING_SECONDS,
        "identity",
        family="signing_seconds",
    ),
    # tokens
    _histogram(
        "token_signing_seconds",
        "Signatures of a token, probes included; with the key exchange of the handshake.",
        SIGNING_SECONDS,
        "token",
        family="token_signing_seconds",
    ),
    _histogram(
        "token_wait_seconds",
        "How long signatures waited for a thread.",
        WAIT_SECONDS,
        "token",
        family="token_wait_seconds",
    ),
    _gauge("token_queued", "Signatures that wait for a thread.", "token_figures", "token", value="queued"),
    _gauge("token_signing", "Signatures under way.", "token_figures", "token", value="running"),
    _gauge("token_lost", "Threads that a token has not given back in time.", "token_figures", "token", value="lost"),
    _gauge(
        "token_sessions",
        "Sessions that the workers and the parent have opened.",
        "token_figures",
        "token",
        value="sessions",
    ),
    _gauge(
        "token_session_limit",
        "Sessions that all processes together may open (max_sessions).",
        "token_parent",
        "token",
        value="max_sessions",
    ),
    _gauge(
        "token_state",
        "How many workers have the breaker of a token in this state: closed, slow, open, half_open, proved (it waits for the parent), "
        "stopped (no PIN).",
        "token_states",
        "token",
        "state",
    ),
    _gauge(
        "token_last_good_seconds",
        "Time since the last good signature of any worker.",
        "token_good",
        "token",
        value="youngest",
    ),
    _counter("token_errors", "Signatures that failed or did not come in time.", "tokens", "token", value="errors"),
    _counter(
        "token_failovers",
        "Handshakes that went on to another token after an error.",
        "tokens",
        "token",
        value="failovers",
    ),
    _counter(
        "token_hedges",
        "Handshakes that asked another token as well, as this one took too long.",
        "tokens",
        "token",
        value="hedges",
    ),
    _counter(
        "token_hedges_won",
        "Handshakes for which this token was asked as well, and answered first.",
        "tokens",
        "token",
        value="hedges_won",
    ),
    _counter(
        "token_refusals", "Signatures that were not tried, as too many waited.", "tokens", "token", value="refusals"
    ),
    _gauge(
        "token_parent_well",
        "Whether the parent's latest probe found a token well.",
        "token_parent",
        "token",
        value="well",
    ),
    _gauge(
        "token_pin_refused",
        "Whether nobody logs in to a token, as it refused the PIN.",
        "token_parent",
        "token",
        value="refused",
    ),
    _gauge(
        "token_keys_missing",
        "Keys that a token does not have any more, or that do not sign, for some worker or the parent.",
        "token_parent",
        "token",
        value="missing",
    ),
    _counter("token_parent_probes", "Probes of the parent.", "token_parent", "token", value="probes"),
    _counter(
        "token_parent_errors",
        "Probes of the parent that failed, by CKR_ name or cause.",
        "token_parent_errors",
        "token",
        "error",
    ),
    _counter("token_probes", "Probes by real signatures.", "tokens", "token", value="probes"),
    _counter(
        "token_probes_failed", "Probes that failed or did not come in time.", "tokens", "token", value="probes_failed"
    ),
    _counter(
        "failures", "Connections and requests that were refused or came to nothing.", "failures", "listener", "reason"
    ),
    _counter(
        "connections_breaking_under_require",
        "Connections with a request whose client the policy require would refuse; GET /status says who they are.",
        "breaking_total",
    ),
    _counter("connections_accepted", "Connections within the limits.", "connections", "listener", value="accepted"),
    _gauge(
        "connections_open", "Connections now, handshakes under way included.", "connections", "listener", value="open"
    ),
    _counter(
        "requests",
        "Requests that were answered or given up (499); malformed: 501 and 505 for what no server could answer.",
        "requests",
        "route",
        "status",
    ),
    _histogram(
        "request_first_byte_seconds",
        "From a request's head to the first byte of its response.",
        REQUEST_SECONDS,
        "route",
        family="first_byte_seconds",
    ),
    _histogram(
        "request_seconds",
        "From a request's head to the end of its response; without WebSockets.",
        REQUEST_SECONDS,
        "route",
        family="request_seconds",
    ),
    _counter("request_bytes", "Bytes of request bodies.", "bytes", "route", value="request"),
    _counter("response_bytes", "Bytes of response bodies.", "bytes", "route", value="response"),
    _counter("websockets", "WebSockets that were established.", "websockets", "route"),
    _gauge("websockets_open", "WebSockets now.", "websockets", "route", value="open"),
    _counter("websocket_messages", "WebSocket messages.", "websocket_traffic", "route", "direction", value="messages"),
    _counter(
        "websocket_bytes",
        "Bytes of WebSockets, frames included.",
        "websocket_traffic",
        "route",
        "direction",
        value="bytes",
    ),
    _counter(
        "payload_opened",
        "Encrypted messages of clients that were good: requests, and messages of WebSockets; those of sessions are under :sessions.",
        "payload_messages",
        "route",
        "ring",
        value="opened",
    ),
    _counter(
        "payload_sealed",
        "Messages that were encrypted to their end for clients: answers, and messages of WebSockets.",
        "payload_messages",
        "route",
        "ring",
        value="sealed",
    ),
    _counter(
        "payload_refused",
        "Messages and requests that payload encryption refused, by the end of the type of their problem.",
        "payload_refusals",
        "route",
        "cause",
    ),
    _gauge("response_buffer_bytes", "Bytes of answers that wait for slow clients.", "response_buffer", value="held"),
    _counter(
        "response_buffer_shortages", "Servers held back as others need the room.", "response_buffer", value="shortages"
    ),
    # upstreams
    _gauge("upstream_state", "How many workers see a server in this state.", "server_states", *_SERVER, "state"),
    _gauge(
        "upstream_connections_open", "Connections to a server, dials not included.", "servers", *_SERVER, value="open"
    ),
    _gauge("upstream_connections_idle", "Connections that wait for a request.", "servers", *_SERVER, value="idle"),
    _gauge("upstream_dials", "Connections that are being made.", "servers", *_SERVER, value="dialling"),
    _gauge("upstream_waiting", "Requests that wait for a connection.", "servers", *_SERVER, value="waiting"),
    _gauge("upstream_websockets_open", "WebSockets of a server now.", "servers", *_SERVER, value="websockets"),
    _counter(
        "upstream_requests", "Requests that a server was chosen for.", "server_totals", *_SERVER, value="requests"
    ),
    _counter(
        "upstream_failures", "Requests and dials that a server failed.", "server_totals", *_SERVER, value="failures"
    ),
    _counter(
        "upstream_ejections",
        "How often a worker took a server out because of its failures.",
        "server_totals",
        *_SERVER,
        value="ejections",
    ),
    _counter(
        "upstream_wait_seconds",
        "Time that requests waited for a connection, all together.",
        "server_totals",
        *_SERVER,
        value="wait_seconds",
    ),
    _counter(
        "health_checks_not_made",
        "Health checks that this process could not make, for want of descriptors, memory or ports; they say nothing of the server.",
        "unmade_checks",
        *_SERVER,
    ),
    # the proxy itself
    _gauge("build_info", "1, under the version that runs.", "build", "version"),
    _gauge("start_time_seconds", "When the parent process started, in UNIX seconds.", "process", value="started_at"),
    _gauge(
        "generation",
        "Number of the configuration that is served; attempts to reload take a number each.",
        "process",
        value="generation",
    ),
    _counter("reloads", "Reloads by result.", "reloads", "result"),
    _counter("generation_swaps", "Configurations that a worker put in the place of the one before.", "swaps"),
    _gauge("ready", "1 while all that was meant to serve can, as /readyz says; 0 otherwise.", "process", value="ready"),
    _gauge("workers", "Worker processes, those included that only finish what they have.", "process", value="workers"),
    _counter("worker_restarts", "Workers that had to be started again.", "process", value="restarts"),
    _gauge("worker_age_seconds", "Age of the worker that has the slot.", "workers", "slot", value="age"),
    _gauge("worker_resident_bytes", "Memory that the workers of a slot hold.", "workers", "slot", value="rss"),
    _histogram(
        "loop_lag_seconds",
        "How late a timer of 0.1 s is called: what the event loop adds to every answer.",
        LAG_SECONDS,
        family="loop_lag",
    ),
    _counter(
        "log_lines_dropped",
        "Lines of the log that found its queue full, or that its file did not take.",
        "log",
        value="dropped",
    ),
    _counter("log_errors", "Attempts to write the log, or to open it again, that failed.", "log", value="errors"),
    _counter("audit_lines", "Lines of the audit log that were written.", "audit", value="written"),
    _counter("audit_lines_lost", "Lines of the audit log that could not be written in time.", "audit", value="lost"),
    _counter("audit_errors", "Attempts to write the audit log that failed.", "audit", value="errors"),
    _counter("audit_checkpoints_unsigned", "Checkpoints that the key could not sign.", "audit", value="unsigned"),
    _gauge(
        "certificate_expiry_seconds",
        "Time until the first certificate of this kind expires; negative when it has.",
        "certificates",
        "identity",
        "algorithm",
        value="left",
    ),
    _counter("rotations", "Rotations of certificates by their result (ok, failed).", "rotations", "result"),
    _gauge(
        "rotation_urgency",
        "How urgent the rotation of a credential is: 0 calm, 1 due, 2 late, 3 grave, 4 expired.",
        "rotating",
        "identity",
        "credential",
        value="urgency",
    ),
    _gauge(
        "rotation_failures",
        "Failures in a row of the rotation of a credential.",
        "rotating",
        "identity",
        "credential",
        value="failures",
    ),
)


def readme_table() -> str:
    """All metrics as a table in Markdown."""
    rows = [f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.meaning} |" for one in METRICS]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"
