"""Every limit by name.

`example.toml` gives the reason of each default; the bounds here only keep out what cannot work.
"""

from enum import StrEnum
from typing import Any, Self

from pydantic import Field

from config.values.durations import Hours, OptionalSeconds, Seconds, time_field
from config.values.kinds import Table

_KIB = 1_024
_MIB = 1_024 * _KIB
_GIB = 1_024 * _MIB
_DAY = 86_400.0
# RFC 9113 section 6.9.2: both windows begin with this, and a client may use it before it has read
# our SETTINGS. So a smaller window would bound nothing.
_LEAST_WINDOW = 65_535


def _whole(default: int | None, *, least: int, most: int) -> Any:
    return Field(default, ge=least, le=most, strict=True)


def _rate(default: float | None) -> Any:
    # once in a day to more than a machine can do
    return Field(default, ge=0.00001, le=1_000_000.0, strict=True, allow_inf_nan=False)


class RatePer(StrEnum):
    """Who shares the rate of a route: all clients, those of all nodes of the fleet, or each client
    network has its own.
    """

    CLIENT = "client"
    ROUTE = "route"
    FLEET = "fleet"


class RateConfig(Table):
    """`rate` of a `[[route]]` or of `[payload.sessions]`: how many requests are served; the next
    one is answered with 429.
    """

    requests_per_second: float = Field(ge=0.00001, le=1_000_000.0, strict=True, allow_inf_nan=False)
    burst: int = Field(ge=1, le=1_000_000, strict=True)
    per: RatePer


class ListenerLimitsConfig(Table):
    """`[listener.NAME.limits]`: what one listener has otherwise than `[limits]`; None where it has
    the same.

    Only limits on connections: by the time there is a request, it is the route that matters.
    """

    connections: int | None = _whole(None, least=1, most=10_000_000)
    fleet_connections: int | None = _whole(None, least=1, most=100_000_000)
    connections_per_address: int | None = _whole(None, least=1, most=10_000_000)
    handshake_seconds: OptionalSeconds = time_field("handshake_timeout", None, most=600.0)
    handshakes_in_flight: int | None = _whole(None, least=1, most=1_000_000)
    handshakes_per_address: int | None = _whole(None, least=1, most=1_000_000)
    handshakes_per_second_per_address: float | None = _rate(None)
    handshake_burst_per_address: int | None = _whole(None, least=1, most=1_000_000)
    slow_groups_rate: float | None = _rate(None)
    slow_groups_burst: int | None = _whole(None, least=1, most=1_000_000)
    tcp_idle_seconds: OptionalSeconds = time_field("tcp_idle_timeout", None, most=30 * _DAY)
    tcp_half_closed_seconds: OptionalSeconds = time_field("tcp_half_closed_timeout", None, most=_DAY)


class LimitsConfig(Table):
    """`[limits]`: what a client, an upstream or the proxy itself may use at most.

    The unit of a number is the end of its name; a time has its unit beside it.
    """

    # TLS
    client_hello_wire_bytes: int = _whole(400_000, least=_KIB, most=16 * _MIB)
    client_hello_bytes: int = _whole(65_536, least=_KIB, most=_MIB)
    handshake_seconds: Seconds = time_field("handshake_timeout", 10.0, most=600.0)
    handshakes_in_flight: int = _whole(1_000, least=1, most=1_000_000)
    handshakes_per_address: int = _whole(100, least=1, most=1_000_000)
    handshakes_per_second_per_address: float = _rate(2_000.0)
    handshake_burst_per_address: int = _whole(2_000, least=1, most=1_000_000)
    slow_groups_rate: float = _rate(2.0)
    slow_groups_burst: int = _whole(20, least=1, most=1_000_000)
    key_updates_per_minute: int = _whole(32, least=1, most=1_000_000)
    tls_ticket_rotation_hours: Hours = time_field("rotate_tls_ticket_key_after", 12.0, least=0.01, most=168.0)

    # Connections
    connections: int = _whole(20_000, least=1, most=10_000_000)
    fleet_connections: int | None = _whole(None, least=1, most=100_000_000)
    connections_per_address: int = _whole(1_000, least=1, most=10_000_000)
    keep_alive_seconds: Seconds = time_field("keep_alive_timeout", 75.0, most=_DAY)
    write_idle_seconds: Seconds = time_field("write_idle_timeout", 60.0, most=_DAY)
    response_bytes_per_second: int = _whole(240, least=1, most=_GIB)
    linger_bytes: int = _whole(67_108_864, least=0, most=_GIB)
    linger_seconds: Seconds = time_field("linger_timeout", 2.0, most=60.0)
    drain_seconds: Seconds = time_field("drain_timeout", 30.0, most=_DAY)

    # The process
    descriptor_reserve: int = _whole(256, least=0, most=1_000_000)
    memory_bytes: int | None = _whole(None, least=32 * _MIB, most=1_024 * _GIB)

    # Requests
    head_bytes: int = _whole(32_768, least=_KIB, most=_MIB)
    target_bytes: int = _whole(8_192, least=64, most=_MIB)
    header_count: int = _whole(100, least=8, most=10_000)
    header_bytes: int = _whole(16_384, least=256, most=_MIB)
    head_seconds: Seconds = time_field("head_timeout", 10.0, most=_DAY)
    body_bytes: int = _whole(104_857_600, least=0, most=1_024 * _GIB)
    request_buffer_bytes: int = _whole(65_536, least=0, most=64 * _MIB)
    body_idle_seconds: Seconds = time_field("body_idle_timeout", 30.0, most=_DAY)
    body_bytes_per_second: int = _whole(240, least=1, most=_GIB)
    chunk_line_bytes: int = _whole(256, least=18, most=64 * _KIB)
    chunk_overhead_bytes: int = _whole(65_536, least=256, most=16 * _MIB)
    trailer_bytes: int = _whole(8_192, least=0, most=_MIB)
    trailer_count: int = _whole(32, least=0, most=10_000)
    pipelined_bytes: int = _whole(65_536, least=0, most=16 * _MIB)

    # HTTP/2
    http2_streams: int = _whole(128, least=1, most=10_000)
    http2_stream_window_bytes: int = _whole(65_536, least=_LEAST_WINDOW, most=_GIB)
    http2_stream_window_most_bytes: int = _whole(262_144, least=_LEAST_WINDOW, most=_GIB)
    http2_connection_window_bytes: int = _whole(_MIB, least=_LEAST_WINDOW, most=_GIB)
    http2_resets: int = _whole(256, least=1, most=1_000_000)
    http2_resets_per_second: float = _rate(20.0)
    http2_control_frames: int = _whole(1_000, least=16, most=1_000_000)
    http2_control_frames_per_second: float = _rate(100.0)
    http2_settings_seconds: Seconds = time_field("http2_settings_timeout", 10.0, most=600.0)
    http3_unacked_bytes: int = _whole(8 * _MIB, least=65_536, most=_GIB)

    # Responses
    response_head_bytes: int = _whole(65_536, least=_KIB, most=16 * _MIB)
    response_header_count: int = _whole(200, least=8, most=10_000)
    early_responses: int = _whole(16, least=0, most=1_000)
    response_buffer_bytes: int = _whole(262_144, least=0, most=_GIB)
    response_buffer_total_bytes: int = _whole(67_108_864, least=0, most=64 * _GIB)
    spool_bytes: int = _whole(_GIB, least=0, most=1_024 * _GIB)

    # WebSocket
    websocket_idle_seconds: Seconds = time_field("websocket_idle_timeout", 3_600.0, most=30 * _DAY)
    websocket_message_bytes: int = _whole(67_108_864, least=125, most=1_024 * _GIB)
    websocket_fragments: int = _whole(16_384, least=1, most=10_000_000)
    websocket_close_seconds: Seconds = time_field("websocket_close_timeout", 5.0, most=600.0)

    # TCP
    tcp_idle_seconds: Seconds = time_field("tcp_idle_timeout", 3_600.0, most=30 * _DAY)
    tcp_half_closed_seconds: Seconds = time_field("tcp_half_closed_timeout", 60.0, most=_DAY)

    # Log
    log_queue_lines: int = _whole(10_000, least=1, most=10_000_000)

    def for_listener(self, own: ListenerLimitsConfig) -> Self:
        """The limits of a listener that has some of its own."""
        return self.model_copy(update=own.model_dump(exclude_none=True))
