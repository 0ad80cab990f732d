"""The catalogue of all metrics. Pure."""

from collections.abc import Mapping
from typing import Final

from proxy.figures.histogram import HANDSHAKE_SECONDS, LAG_SECONDS, SIGNING_SECONDS
from proxy.observe.metrics.metric import Metric, counter, gauge, histogram
from proxy.observe.metrics.request_metrics import REQUESTS
from proxy.observe.metrics.token_metrics import TOKENS

_SERVER: Final = ("upstream", "server")

_HANDSHAKES: Final = (
    counter(
        "handshakes",
        "Handshakes, by the outcome of their key exchange.",
        "handshakes",
        *("listener", "identity", "outcome", "group", "version", "resumed"),
    ),
    histogram(
        "handshake_seconds",
        "Duration of a successful handshake, from the accept of its connection.",
        HANDSHAKE_SECONDS,
        "listener",
        family="handshake_seconds",
    ),
    histogram(
        "signing_seconds",
        "Duration of the signing step of a full handshake. With a key in a file it includes the key exchange.",
        SIGNING_SECONDS,
        "identity",
        family="signing_seconds",
    ),
)
_CONNECTIONS: Final = (
    counter("failures", "Connections and requests that were refused or failed.", "failures", "listener", "reason"),
    counter(
        "connections_breaking_under_require",
        "Connections with a request that pq = require would refuse. GET /status shows their networks and user agents.",
        "breaking_total",
    ),
    counter(
        "connections_accepted",
        "Accepted connections.",
        "connections",
        "listener",
        value="accepted",
    ),
    gauge("connections_open", "Open connections, handshakes included.", "connections", "listener", value="open"),
)
_HTTP_2: Final = (
    counter(
        "protocol_requests",
        "Requests of a listener by version of HTTP: h3, h2, http/1.1.",
        "protocol_requests",
        "listener",
        "protocol",
    ),
    counter("http2_connections", "HTTP/2 connections.", "http2", "listener", value="connections"),
    gauge("http2_connections_open", "Open HTTP/2 connections.", "http2", "listener", value="open"),
    gauge(
        "http2_streams_open",
        "Open streams: requests in flight and WebSockets over HTTP/2.",
        "http2",
        "listener",
        value="streams_open",
    ),
    counter(
        "http2_resets",
        "Streams that ended by RST_STREAM, by cause. client: the client gave up. "
        "client_error, flow_control: it broke a rule that ends the stream. "
        "refused: it may send the request again. early_answer: the response was complete before the request (counted also if the request ended soon after). "
        "broken_answer: the server did not complete its response. given_up: the proxy gave up, for example at a limit.",
        "http2_resets",
        "listener",
        "cause",
    ),
)
_HTTP_3: Final = (
    counter("http3_connections", "HTTP/3 connections.", "http3", "listener", value="connections"),
    gauge("http3_connections_open", "Open HTTP/3 connections.", "http3", "listener", value="open"),
    gauge(
        "http3_offered",
        "1 if the answers of a listener with http3 offer it by Alt-Svc; 0 if it cannot be reached by UDP.",
        "http3_offered",
        "listener",
        value="offered",
    ),
)
_PAYLOADS: Final = (
    counter(
        "payload_opened",
        "Encrypted requests and WebSocket messages of clients that were decrypted. Sessions count under the ring :sessions.",
        "payload_messages",
        "route",
        "ring",
        value="opened",
    ),
    counter(
        "payload_sealed",
        "Responses and WebSocket messages that were encrypted completely for clients.",
        "payload_messages",
        "route",
        "ring",
        value="sealed",
    ),
    counter(
        "payload_refused",
        "Requests and WebSocket messages that payload encryption refused, by the end of the problem's type.",
        "payload_refusals",
        "route",
        "cause",
    ),
)
_RELAYS: Final = (
    counter(
        "relays",
        "Connections whose bytes went both ways without being read as HTTP, by kind: tcp, passthrough.",
        "relays",
        "listener",
        "kind",
        value="connections",
    ),
    gauge("relays_open", "Open connections of this kind.", "relays", "listener", "kind", value="open"),
    counter(
        "relay_bytes",
        "Bytes of these connections; of a passthrough with its TLS.",
        "relay_bytes",
        "listener",
        "kind",
        "direction",
        value="bytes",
    ),
    counter(
        "relay_ends",
        "Ends of these connections, by reason. closed: both sides had ended. client_lost, server_lost: one side aborted. "
        "no_server: none could be reached. no_room: there were too many already. The others are limits, drains and reloads.",
        "relay_ends",
        "listener",
        "kind",
        "reason",
    ),
    counter(
        "passthrough_groups",
        "Clients of a passthrough that offered this key exchange group.",
        "passthrough_groups",
        "listener",
        "group",
    ),
)
_BUFFERS: Final = (
    gauge(
        "response_buffer_bytes",
        "Bytes that are buffered for slow clients.",
        "response_buffer",
        value="held",
    ),
    counter(
        "response_buffer_shortages",
        "Pauses in reading from servers because the buffer was full.",
        "response_buffer",
        value="shortages",
    ),
    gauge(
        "spool_bytes",
        "Bytes that are in the spool for slow clients.",
        "spool",
        value="held",
    ),
    counter(
        "spool_shortages",
        "Times when the spool had no room for a slow client.",
        "spool",
        value="shortages",
    ),
)
_UPSTREAMS: Final = (
    gauge("upstream_state", "Workers that see this server in this state.", "server_states", *_SERVER, "state"),
    gauge("upstream_connections_open", "Open connections to a server.", "servers", *_SERVER, value="open"),
    gauge("upstream_connections_idle", "Idle connections to a server.", "servers", *_SERVER, value="idle"),
    gauge("upstream_dials", "Connections to a server that are being made.", "servers", *_SERVER, value="dialling"),
    gauge("upstream_waiting", "Requests that wait for a connection.", "servers", *_SERVER, value="waiting"),
    gauge("upstream_websockets_open", "Open WebSockets of a server.", "servers", *_SERVER, value="websockets"),
    counter("upstream_requests", "Requests that this server got.", "server_totals", *_SERVER, value="requests"),
    counter(
        "http2_upstream_requests",
        "Those of the requests that the server got by HTTP/2. The others were HTTP/1.1.",
        "server_totals",
        *_SERVER,
        value="http2_requests",
    ),
    gauge(
        "http2_upstream_streams_open",
        "Open streams on HTTP/2 connections to a server: requests in flight and WebSockets.",
        "servers",
        *_SERVER,
        value="streams_open",
    ),
    counter(
        "http2_upstream_goaways",
        "HTTP/2 connections whose end a server announced by GOAWAY.",
        "server_totals",
        *_SERVER,
        value="http2_goaways",
    ),
    counter(
        "http2_upstream_refused_streams",
        "Streams that a server refused, by REFUSED_STREAM or by its GOAWAY. Their requests went out once more if they could.",
        "server_totals",
        *_SERVER,
        value="http2_refused",
    ),
    counter("upstream_failures", "Failed requests and connects.", "server_totals", *_SERVER, value="failures"),
    counter(
        "upstream_ejections",
        "Times that a worker took a server out because of its failures.",
        "server_totals",
        *_SERVER,
        value="ejections",
    ),
    counter(
        "upstream_wait_seconds",
        "Time that requests waited for a connection, summed over all requests.",
        "server_totals",
        *_SERVER,
        value="wait_seconds",
    ),
    counter(
        "health_checks_not_made",
        "Health checks that the proxy could not make for lack of descriptors, memory or ports. They do not count against the server.",
        "unmade_checks",
        *_SERVER,
    ),
)
_PROCESSES: Final = (
    gauge("build_info", "Always 1; the label has the version that runs.", "build", "version"),
    gauge("start_time_seconds", "Start of the parent process, in UNIX seconds.", "process", value="started_at"),
    gauge(
        "generation",
        "Number of the served configuration. Each attempt to reload, and each rotated certificate or secret, takes a number.",
        "process",
        value="generation",
    ),
    counter("reloads", "Reloads by result.", "reloads", "result"),
    counter("generation_swaps", "Configurations that workers took over, counted in each worker.", "swaps"),
    gauge(
        "maintenance_since_seconds",
        "When `plexigate maintenance on` took this route out of service, in UNIX seconds. Other routes are not listed.",
        "maintenance",
        "route",
        value="since",
    ),
    gauge("ready", "1 while /readyz answers 200, else 0.", "process", value="ready"),
    gauge("workers", "Worker processes, draining ones included.", "process", value="workers"),
    counter("worker_restarts", "Workers that had to be replaced.", "process", value="restarts"),
    gauge("worker_age_seconds", "Age of the worker in this slot.", "workers", "slot", value="age"),
    gauge("worker_resident_bytes", "Resident memory of the workers in this slot.", "workers", "slot", value="rss"),
    histogram(
        "loop_lag_seconds",
        "Delay of a timer of 0.1 s: what the event loop adds to the time of every response.",
        LAG_SECONDS,
        family="loop_lag",
    ),
)
_LOGS: Final = (
    counter(
        "log_lines_dropped",
        "Log lines that were lost because the queue was full or the file could not be written.",
        "log",
        value="dropped",
    ),
    counter("log_errors", "Failed attempts to write or reopen the log.", "log", value="errors"),
    counter("audit_lines", "Audit log lines that were written.", "audit", value="written"),
    counter("audit_lines_lost", "Audit log lines that were lost.", "audit", value="lost"),
    counter("audit_errors", "Failed attempts to write the audit log.", "audit", value="errors"),
    counter("audit_checkpoints_unsigned", "Checkpoints that the key could not sign.", "audit", value="unsigned"),
)
_CERTIFICATES: Final = (
    gauge(
        "certificate_expiry_seconds",
        "Time until the first certificate of this kind expires. Negative after its expiry. `token`: where its key is.",
        "certificates",
        "identity",
        "algorithm",
        "token",
        value="left",
    ),
    gauge(
        "revocation_list_expiry_seconds",
        "Time until a revocation list expires: of the clients of an identity (clients), or of an internal CA (issuer).",
        "revocation_lists",
        "of",
        "subject",
        value="left",
    ),
    gauge(
        "sealing_key_age_seconds",
        "Time since the sealing key (sealing), or a key below it (tickets, credentials, payload, acme, backup), began to seal.",
        "sealing_keys",
        "key",
        value="age",
    ),
    gauge(
        "ct_unread_entries",
        "Entries of a log of ct.watch that are not read yet.",
        "watched_logs",
        "log",
        value="unread",
    ),
    counter("rotations", "Rotations of certificates, by result (ok, failed).", "rotations", "result"),
    gauge(
        "rotation_urgency",
        "Urgency of the rotation of a credential: 0 calm, 1 due, 2 late, 3 grave, 4 expired.",
        "rotating",
        "identity",
        "credential",
        value="urgency",
    ),
    gauge(
        "rotation_failures",
        "Consecutive failed rotations of a credential.",
        "rotating",
        "identity",
        "credential",
        value="failures",
    ),
)

_ALERTS: Final = (
    gauge("alerts", "Open alerts: operator action required.", "alerts", "kind", "urgency"),
    counter(
        "alert_deliveries",
        "Attempts to send an alert, by receiver (command, webhook) and result (ok, failed).",
        "alert_deliveries",
        "receiver",
        "result",
    ),
)

_FLEET: Final = (
    gauge("fleet_connected", "Whether this node can use the store of its fleet.", "fleet", value="connected"),
    gauge("fleet_leading", "Whether this node leads its fleet.", "fleet", value="leading"),
    gauge("fleet_members", "Nodes that have joined the fleet.", "fleet", value="members"),
    gauge("fleet_nodes_alive", "Nodes of the fleet that are there.", "fleet", value="alive"),
    gauge(
        "fleet_nodes_differing",
        "Nodes of the fleet with another configuration than the leader has.",
        "fleet",
        value="differing",
    ),
    gauge("fleet_revision", "The newest change in the store that this node has heard of.", "fleet", value="revision"),
    gauge("fleet_epoch", "Number of the key of the fleet. None before this node has joined.", "fleet_epoch"),
    gauge(
        "fleet_clock_skew_seconds",
        "How far the clock of this node is ahead of that of the store. Above 60, and below -60, it takes nothing new.",
        "fleet_skew",
        value="skew",
    ),
    gauge(
        "fleet_planned_seconds",
        "Time for which this node has planned without the store.",
        "fleet_planned",
        "what",
        value="left",
    ),
)

GROUPS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "Handshakes": _HANDSHAKES,
    "Keys in tokens": TOKENS,
    "Connections": _CONNECTIONS,
    "HTTP/2": _HTTP_2,
    "HTTP/3": _HTTP_3,
    "Requests and WebSockets": REQUESTS,
    "TCP and passthrough": _RELAYS,
    "Payload encryption": _PAYLOADS,
    "Response buffers": _BUFFERS,
    "Upstreams": _UPSTREAMS,
    "Processes and reloads": _PROCESSES,
    "Logs": _LOGS,
    "Certificates": _CERTIFICATES,
    "Alerts": _ALERTS,
    "Fleets": _FLEET,
}
"""All metrics, by what they are about."""

METRICS: Final = tuple(metric for group in GROUPS.values() for metric in group)
