"""The names under which ends of HTTP/2 connections and streams are logged and counted. Pure."""

from enum import StrEnum
from typing import Final

from proxy.http2.wire.errors import ErrorCode
from proxy.limits.reasons import ConnectionReason


class ResetCause(StrEnum):
    """Why a stream ended by RST_STREAM."""

    CLIENT = "client"
    """The client gave the request up."""
    CLIENT_ERROR = "client_error"
    """The client broke a rule that ends the stream (RFC 9113 section 5.4.2)."""
    FLOW_CONTROL = "flow_control"
    """The client sent more than the window of the stream allows."""
    REFUSED = "refused"
    """The client may send the request again: there were too many, or the connection ends."""
    EARLY_ANSWER = "early_answer"
    """The response was complete before the request (RFC 9113 section 8.1)."""
    BROKEN_ANSWER = "broken_answer"
    """The rest of the response did not come from the server."""
    GIVEN_UP = "given_up"
    """The proxy gave the request up, for example at a limit on its time."""


_CAUSES: Final = {
    ErrorCode.NO_ERROR: ResetCause.EARLY_ANSWER,
    ErrorCode.PROTOCOL_ERROR: ResetCause.CLIENT_ERROR,
    ErrorCode.STREAM_CLOSED: ResetCause.CLIENT_ERROR,
    ErrorCode.FRAME_SIZE_ERROR: ResetCause.CLIENT_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR: ResetCause.FLOW_CONTROL,
    ErrorCode.REFUSED_STREAM: ResetCause.REFUSED,
    ErrorCode.INTERNAL_ERROR: ResetCause.BROKEN_ANSWER,
}
_REASONS: Final = {
    ErrorCode.FLOW_CONTROL_ERROR: ConnectionReason.HTTP2_FLOW_CONTROL,
    ErrorCode.SETTINGS_TIMEOUT: ConnectionReason.HTTP2_SETTINGS_TIMEOUT,
    ErrorCode.STREAM_CLOSED: ConnectionReason.HTTP2_CLOSED_STREAM,
    ErrorCode.COMPRESSION_ERROR: ConnectionReason.HTTP2_COMPRESSION,
}
_FLOODS: Final = {reason.value.removeprefix("http2_"): reason for reason in ConnectionReason if "http2_" in reason}


def reset_cause(code: int) -> ResetCause:
    """Why we reset a stream with `code`."""
    return _CAUSES.get(code, ResetCause.GIVEN_UP)


def connection_reason(code: int, reason: str) -> ConnectionReason:
    """Why a connection ends with GOAWAY for its client's fault, as `ConnectionFailed` tells it.

    A flood has its name before the colon (`FloodReason`); everything else is named by its code.
    """
    if code == ErrorCode.ENHANCE_YOUR_CALM:
        return _FLOODS.get(reason.partition(":")[0], ConnectionReason.HTTP2_PROTOCOL_ERROR)
    return _REASONS.get(code, ConnectionReason.HTTP2_PROTOCOL_ERROR)
