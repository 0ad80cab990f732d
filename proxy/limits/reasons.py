"""Why connections and requests are refused or ended, each under one name, so that they can be counted. Pure.

What a handshake fails with has its names beside it (`tls.handshake.FailureReason`).
"""

from enum import StrEnum
from typing import Final


class ConnectionReason(StrEnum):
    """A connection that was closed before its handshake, while it was not used, or for its TLS; most are named after limits."""

    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    HANDSHAKES_IN_FLIGHT = "handshakes_in_flight"
    HANDSHAKE_RATE = "handshakes_per_second_per_address"
    OUT_OF_DESCRIPTORS = "out_of_descriptors"
    """Accepting paused, as only the reserve was left, or nothing at all. Counted for each pause, not for each connection."""
    OUT_OF_MEMORY = "out_of_memory"
    """The same for memory, the kernel's too."""
    SHED_SILENT = "shed_silent"
    """A connection whose ClientHello had not come was ended, so that others can be served."""
    SHED_UNFINISHED = "shed_unfinished"
    """The same of one whose client had not finished its handshake."""
    SHED_IDLE = "shed_idle"
    """The same of one without a request, or whose request was not complete and known to no server."""
    RECORD_FLOOD = "tls_record_flood"
    """The client sent too many TLS records without data, or asked for too many new keys."""
    TLS_BROKEN = "tls_broken"
    """The client broke the rules of TLS behind its handshake, or somebody on the way did; or it sent a fatal alert."""


class RequestReason(StrEnum):
    """A request that was refused or ended before its time. In the log a sentence may follow, behind a colon."""

    RATE = "request_rate"
    HEAD_TIMEOUT = "head_timeout"
    BODY_TIMEOUT = "body_timeout"
    """Nothing of it came for too long."""
    BODY_TOO_SLOW = "body_too_slow"
    """Something came, but less than the rate that is asked for."""
    READER_TIMEOUT = "reader_timeout"
    """Nothing of the response was taken for too long."""
    READER_TOO_SLOW = "reader_too_slow"
    HEAD_TOO_LARGE = "head_too_large"
    TARGET_TOO_LONG = "target_too_long"
    BODY_TOO_LONG = "body_too_long"
    MALFORMED_REQUEST = "malformed_request"
    MALFORMED_BODY = "malformed_body"
    MISDIRECTED_HOST = "misdirected_host"
    AMBIGUOUS_PATH = "ambiguous_path"
    NO_ROUTE = "no_route"
    ROUTE_REQUIRES_PQ = "route_requires_pq"
    PAYLOAD = "payload"
    """A message, or a request without one, that payload encryption does not take; the log names the cause."""
    GIVEN_UP = "given_up"
    """The client left before it had its answer, or the proxy ended."""
    WEBSOCKET = "websocket"
    """One that did not end with close frames on both sides."""
    UPSTREAM = "upstream"


_MALFORMED: Final = frozenset({RequestReason.MALFORMED_REQUEST, RequestReason.MALFORMED_BODY})
# What is over a size is found by those who read requests, who call all that they do not take malformed.
_SIZES: Final = {
    413: RequestReason.BODY_TOO_LONG,
    414: RequestReason.TARGET_TOO_LONG,
    431: RequestReason.HEAD_TOO_LARGE,
}
_NAMES: Final = {reason.value: reason for reason in RequestReason}
CLOSED: Final = "closed"
"""What the log says of a WebSocket that we ended with close frames and whose client answered, before the reason: no failure."""
_SWITCHING_PROTOCOLS: Final = 101
_CLIENT_CLOSED_REQUEST: Final = 499


def request_reason(status: int, error: str) -> RequestReason | None:
    """The name of what the log says about a request: one of few, whatever the client sent; None where nothing failed."""
    name = error.partition(":")[0]
    if name == CLOSED and status == _SWITCHING_PROTOCOLS:
        return None
    reason = _NAMES.get(name)
    if reason in _MALFORMED:
        return _SIZES.get(status, reason)
    if reason is not None:
        return reason
    if status == _CLIENT_CLOSED_REQUEST:
        return RequestReason.GIVEN_UP
    return RequestReason.WEBSOCKET if status == _SWITCHING_PROTOCOLS else RequestReason.UPSTREAM
