"""Why connections and requests are refused or ended: one name for each reason, to be counted. Pure.

The reasons why a handshake fails are in `tls.handshake.results`.
"""

from enum import StrEnum
from typing import Final


class ConnectionReason(StrEnum):
    """Why a connection was closed: before its handshake, while it was idle, or for its TLS.

    Most reasons have the name of a limit.
    """

    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    HANDSHAKES_IN_FLIGHT = "handshakes_in_flight"
    HANDSHAKE_RATE = "handshakes_per_second_per_address"
    PROXY_SENDER = "proxy_header_sender"
    """The listener takes PROXY headers, and not from this peer (`proxy_protocol_from`)."""
    OUT_OF_DESCRIPTORS = "out_of_descriptors"
    """Accepting paused because only the reserve of descriptors was left, or none.

    One for each pause, not for each connection.
    """
    OUT_OF_MEMORY = "out_of_memory"
    """The same for memory, of this process or of the kernel."""
    SHED_SILENT = "shed_silent"
    """A connection without a complete ClientHello was ended to make room for others."""
    SHED_UNFINISHED = "shed_unfinished"
    """The same for a connection whose client had not finished its handshake."""
    SHED_IDLE = "shed_idle"
    """The same for a connection without a request, or with an incomplete one that no server saw."""
    SHED_TUNNEL = "shed_tunnel"
    """The same for a WebSocket, or for a connection of TCP whose client has spoken."""
    RECORD_FLOOD = "tls_record_flood"
    """The client sent too many TLS records without data, or asked for too many new keys."""
    TLS_BROKEN = "tls_broken"
    """After the handshake the client sent a fatal alert, or something broke the rules of TLS.

    That was the client, or a machine between it and us.
    """

    # HTTP/2: the client exceeded a limit, or broke a rule that ends the whole connection.
    HTTP2_RAPID_RESET = "http2_rapid_reset"
    """It cancelled too many requests (`http2_resets`)."""
    HTTP2_PROVOKED_RESETS = "http2_provoked_resets"
    """Too many of its requests had to be reset for its errors (`http2_resets`)."""
    HTTP2_REFUSED_STREAMS = "http2_refused_streams"
    """It began too many requests beyond `http2_streams`."""
    HTTP2_CONTINUATION_FLOOD = "http2_continuation_flood"
    """The headers of a request had too many frames or bytes."""
    HTTP2_SETTINGS_FLOOD = "http2_settings_flood"
    HTTP2_PING_FLOOD = "http2_ping_flood"
    HTTP2_EMPTY_DATA_FLOOD = "http2_empty_data_flood"
    HTTP2_WINDOW_UPDATE_FLOOD = "http2_window_update_flood"
    HTTP2_PRIORITY_FLOOD = "http2_priority_flood"
    HTTP2_UNKNOWN_FRAME_FLOOD = "http2_unknown_frame_flood"
    HTTP2_LATE_FRAME_FLOOD = "http2_late_frame_flood"
    """It sent too many frames for requests that are over."""
    HTTP2_UNREAD_FRAMES = "http2_unread_frames"
    """It did not read what its frames made us send."""
    HTTP2_SETTINGS_TIMEOUT = "http2_settings_timeout"
    """It did not acknowledge our SETTINGS within `http2_settings_timeout`."""
    HTTP2_FLOW_CONTROL = "http2_flow_control"
    """It sent more than its window allows, or made ours overflow."""
    HTTP2_CLOSED_STREAM = "http2_closed_stream"
    """It sent a frame for a request that was over, where no delay explains it."""
    HTTP2_COMPRESSION = "http2_compression"
    """Its headers could not be decompressed (HPACK)."""
    HTTP2_PROTOCOL_ERROR = "http2_protocol_error"
    """It broke another rule of RFC 9113."""
    HTTP3_RAPID_RESET = "http3_rapid_reset"
    """It cancelled too many requests of HTTP/3 (`http2_resets`)."""
    HTTP3_PROVOKED_RESETS = "http3_provoked_resets"
    """Too many of its requests of HTTP/3 had to be reset for its errors (`http2_resets`)."""
    # HTTP/3: too much of what costs work and brings no request further (`http2_control_frames`).
    HTTP3_PATH_FLOOD = "http3_path_flood"
    """PATH_CHALLENGE and PATH_RESPONSE frames."""
    HTTP3_CONNECTION_ID_FLOOD = "http3_connection_id_flood"
    """NEW_CONNECTION_ID and RETIRE_CONNECTION_ID frames, or more IDs than it may give."""
    HTTP3_BLOCKED_FLOOD = "http3_blocked_flood"
    """DATA_BLOCKED, STREAM_DATA_BLOCKED and STREAMS_BLOCKED frames."""
    HTTP3_WINDOW_UPDATE_FLOOD = "http3_window_update_flood"
    """MAX_DATA, MAX_STREAM_DATA and MAX_STREAMS frames."""
    HTTP3_CRYPTO_FLOOD = "http3_crypto_flood"
    """CRYPTO frames, or some too far behind a gap."""
    HTTP3_FRAGMENT_FLOOD = "http3_fragment_flood"
    """STREAM frames that are empty, repeated, or small behind a gap."""
    HTTP3_LATE_FRAME_FLOOD = "http3_late_frame_flood"
    """RESET_STREAM and STOP_SENDING frames, and frames for requests that are over."""
    HTTP3_PING_FLOOD = "http3_ping_flood"
    HTTP3_IDLE_PACKET_FLOOD = "http3_idle_packet_flood"
    """More packets with acknowledgements or padding alone than we sent packets."""
    HTTP3_ONE_WAY_STREAM_FLOOD = "http3_one_way_stream_flood"
    HTTP3_UNKNOWN_FRAME_FLOOD = "http3_unknown_frame_flood"
    HTTP3_CONTROL_FRAME_FLOOD = "http3_control_frame_flood"
    """Frames on its control stream, such as PRIORITY_UPDATE."""
    HTTP3_EMPTY_DATA_FLOOD = "http3_empty_data_flood"
    HTTP3_OPTIMISTIC_ACK = "http3_optimistic_ack"
    """It acknowledged a packet that was never sent (RFC 9000 section 21.4)."""
    HTTP3_UNKNOWN_CONNECTIONS = "http3_unknown_connections"
    """More packets for unknown connections came than get a stateless reset.

    One for each packet without an answer.
    """
    HTTP3_INVALID_TOKEN = "http3_invalid_token"  # noqa: S105 - a reason
    """It answered a Retry packet with a token for another address or connection, or too late."""
    HTTP3_STREAM_LIMIT = "http3_stream_limit"
    """It opened more streams than it may (`http2_streams`)."""
    HTTP3_FLOW_CONTROL = "http3_flow_control"
    """It sent more than its windows allow."""
    HTTP3_PROTOCOL_ERROR = "http3_protocol_error"
    """It broke a rule of QUIC or HTTP/3 (RFC 9000, RFC 9114)."""


class RequestReason(StrEnum):
    """Why a request was refused or ended early. In the log a colon and a sentence may follow."""

    RATE = "request_rate"
    HEAD_TIMEOUT = "head_timeout"
    BODY_TIMEOUT = "body_timeout"
    """The body stopped: for too long no byte of it arrived."""
    BODY_TOO_SLOW = "body_too_slow"
    """The body arrived at less than the required rate."""
    READER_TIMEOUT = "reader_timeout"
    """The client took no byte of the response for too long."""
    READER_TOO_SLOW = "reader_too_slow"
    READER_DISPLACED = "reader_displaced"
    """The client took the response slowly while others needed its connection to the server."""
    HEAD_TOO_LARGE = "head_too_large"
    TARGET_TOO_LONG = "target_too_long"
    BODY_TOO_LONG = "body_too_long"
    MALFORMED_REQUEST = "malformed_request"
    MALFORMED_BODY = "malformed_body"
    MISDIRECTED_HOST = "misdirected_host"
    AMBIGUOUS_PATH = "ambiguous_path"
    AMBIGUOUS_CONDITION = "ambiguous_condition"
    """A field or a parameter that a route asks for can be read in more than one way."""
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NO_ROUTE = "no_route"
    LOOP = "loop"
    """The proxy has had the request before: an upstream leads back to it."""
    MAINTENANCE = "maintenance"
    ROUTE_REQUIRES_PQ = "route_requires_pq"
    CLIENT_CERTIFICATE_REQUIRED = "client_certificate_required"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    """The route is not for the network of the client (`allow`, `deny`)."""
    AUTH = "auth"
    """The route's authorization server, or a wrong password, kept the request out."""
    AUTH_FAILED = "auth_failed"
    """The authorization server gave no verdict."""
    PAGE_TOKEN = "page_token"  # noqa: S105 - a name, no token
    """A wrong token for the admin page."""
    PAYLOAD = "payload"
    """Payload encryption refused the request or a message of it; the log names the cause."""
    GIVEN_UP = "given_up"
    """The client left before it had its answer, or the proxy ended."""
    WEBSOCKET = "websocket"
    """A WebSocket that did not end with close frames on both sides."""
    TOO_MANY_WEBSOCKETS = "too_many_websockets"
    """There was no room for one more; the sentence names the limit."""
    UPSTREAM = "upstream"


class RelayEnd(StrEnum):
    """Why a connection ended whose bytes went both ways without being read."""

    CLOSED = "closed"
    """Both sides had ended their direction."""
    CLIENT_LOST = "client_lost"
    """The client's connection broke, or its TLS ended without a close_notify."""
    SERVER_LOST = "server_lost"
    """The same of the server's connection."""
    IDLE = "idle"
    """Both sides were silent for `tcp_idle_timeout`."""
    HALF_CLOSED = "half_closed"
    """One side had ended, and the other was silent for `tcp_half_closed_timeout`."""
    CLIENT_STUCK = "client_takes_no_more"
    """The client read too slowly, or not at all (`write_idle_timeout`)."""
    SERVER_STUCK = "server_takes_no_more"
    NO_SERVER = "no_server"
    """All servers of the upstream failed, or take no clients now."""
    NO_ROOM = "no_room"
    """The process or the server has as many connections as it may have, and none made room."""
    DRAINED = "drained"
    """The process or the server was drained."""
    RELOADED = "reloaded"
    """A reload forbids the connection."""
    SHED = "shed_idle"
    """It made room for others: the client had sent nothing, or both sides had long been silent."""


_MALFORMED: Final = frozenset({RequestReason.MALFORMED_REQUEST, RequestReason.MALFORMED_BODY})
# The readers call a request that is too large malformed as well: its status tells which size it
# exceeds.
_SIZES: Final = {
    413: RequestReason.BODY_TOO_LONG,
    414: RequestReason.TARGET_TOO_LONG,
    431: RequestReason.HEAD_TOO_LARGE,
}
_NAMES: Final = {reason.value: reason for reason in RequestReason}
CLOSED: Final = "closed"
"""Precedes the reason in the log if we ended a WebSocket and the client answered our close frame.

That is not a failure.
"""
_SWITCHING_PROTOCOLS: Final = 101
CLIENT_CLOSED_REQUEST: Final = 499
"""The status in the log if the client left before its response was complete; nginx has the same."""


def request_reason(status: int, error: str) -> RequestReason | None:
    """The name of the reason in the log; None if the request did not fail.

    There are few such names, and a client cannot add to them.
    """
    name = error.partition(":")[0]
    if name == CLOSED and status == _SWITCHING_PROTOCOLS:
        return None
    reason = _NAMES.get(name)
    if reason in _MALFORMED:
        return _SIZES.get(status, reason)
    if reason is not None:
        return reason
    if status == CLIENT_CLOSED_REQUEST:
        return RequestReason.GIVEN_UP
    return RequestReason.WEBSOCKET if status == _SWITCHING_PROTOCOLS else RequestReason.UPSTREAM
