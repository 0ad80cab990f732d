"""The metrics of keys in tokens. Pure."""

from typing import Final

from proxy.figures.histogram import SIGNING_SECONDS
from proxy.observe.metrics.metric import counter, gauge, histogram
from proxy.signing.token_counters import WAIT_SECONDS

TOKENS: Final = (
    histogram(
        "token_signing_seconds",
        "Duration of a signature by a token, probes included. It includes the key exchange of the handshake.",
        SIGNING_SECONDS,
        "token",
        family="token_signing_seconds",
    ),
    histogram(
        "token_wait_seconds",
        "Time that a signature waited for a thread.",
        WAIT_SECONDS,
        "token",
        family="token_wait_seconds",
    ),
    gauge("token_queued", "Signatures that wait for a thread now.", "token_figures", "token", value="queued"),
    gauge("token_signing", "Signatures in flight now.", "token_figures", "token", value="running"),
    gauge("token_lost", "Threads that wait too long for a token.", "token_figures", "token", value="lost"),
    gauge(
        "token_sessions",
        "Open sessions of all processes.",
        "token_figures",
        "token",
        value="sessions",
    ),
    gauge(
        "token_session_limit",
        "Limit of the sessions of all processes (max_sessions).",
        "token_parent",
        "token",
        value="max_sessions",
    ),
    gauge(
        "token_state",
        "Workers whose breaker of a token is in this state: closed, slow, open, half_open, proved (it waits for the parent), "
        "stopped (no PIN).",
        "token_states",
        "token",
        "state",
    ),
    gauge(
        "token_last_good_seconds",
        "Time since the last good signature by a token, in any worker.",
        "token_good",
        "token",
        value="youngest",
    ),
    counter("token_errors", "Signatures that failed or exceeded their time limit.", "tokens", "token", value="errors"),
    counter(
        "token_failovers",
        "Handshakes that moved to another token after an error of this one.",
        "tokens",
        "token",
        value="failovers",
    ),
    counter(
        "token_hedges",
        "Handshakes that also asked another token because this one took too long.",
        "tokens",
        "token",
        value="hedges",
    ),
    counter(
        "token_hedges_won",
        "Handshakes that also asked this token, and which it answered first.",
        "tokens",
        "token",
        value="hedges_won",
    ),
    counter(
        "token_refusals",
        "Signatures refused by a full queue.",
        "tokens",
        "token",
        value="refusals",
    ),
    gauge(
        "token_parent_well",
        "1 if the latest probe by the parent succeeded, else 0.",
        "token_parent",
        "token",
        value="well",
    ),
    gauge(
        "token_pin_refused",
        "1 while no process logs in to a token because it refused the PIN, else 0.",
        "token_parent",
        "token",
        value="refused",
    ),
    gauge(
        "token_keys_missing",
        "Configured keys that are missing in a token or do not sign, as seen by any worker or the parent.",
        "token_parent",
        "token",
        value="missing",
    ),
    counter("token_parent_probes", "Probes by the parent.", "token_parent", "token", value="probes"),
    counter(
        "token_parent_errors",
        "Failed probes by the parent, by CKR_ name or cause.",
        "token_parent_errors",
        "token",
        "error",
    ),
    counter("token_probes", "Probes by workers, each a real signature.", "tokens", "token", value="probes"),
    counter(
        "token_probes_failed",
        "Probes by workers that failed or exceeded their time limit.",
        "tokens",
        "token",
        value="probes_failed",
    ),
)
"""Those of the parent and those of the workers."""
