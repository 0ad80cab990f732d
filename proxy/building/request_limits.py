"""Build the limits for what clients send, and the rules of the listener without TLS."""

from config.schema import Config, LimitsConfig, RatePer
from config.tables.limits import RateConfig
from proxy.downstream.listeners.plain_answers import PlainRules
from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.downstream.service.runtime import HttpLimits
from proxy.http.chunked import ChunkLimits
from proxy.http.head import HeadLimits
from proxy.http.websocket.frames import WebSocketLimits
from proxy.http2.wire.limits import SessionLimits
from proxy.limits.request_rates import RequestRate


def plain_rules(config: Config) -> PlainRules:
    """The names that the listener without TLS redirects to https.

    They are the names of all identities, also of those without a certificate so far.
    """
    names = frozenset(name for identity in config.identity.values() for name in identity.names)
    return PlainRules(names, config.plain.https_port)


def request_rate(name: str, rate: RateConfig) -> RequestRate:
    """The rate that requests share which have this name."""
    made = RequestRate.of(name, rate.requests_per_second, rate.burst, is_per_client=rate.per is RatePer.CLIENT)
    return made.among_nodes(name) if rate.per is RatePer.FLEET else made


def chunk_limits(limits: LimitsConfig) -> ChunkLimits:
    """The limits for chunked bodies of requests and responses."""
    return ChunkLimits(limits.chunk_line_bytes, limits.chunk_overhead_bytes, limits.trailer_bytes, limits.trailer_count)


def http_limits(limits: LimitsConfig) -> HttpLimits:
    """The limits for the size and the time of what clients send."""
    return HttpLimits(
        head_bytes=limits.head_bytes,
        head=HeadLimits(limits.target_bytes, limits.header_count, limits.header_bytes),
        bodies=BodyLimits(chunk_limits(limits), limits.request_buffer_bytes),
        pipelined_bytes=limits.pipelined_bytes,
        head_seconds=limits.head_seconds,
        keep_alive_seconds=limits.keep_alive_seconds,
        body_idle_seconds=limits.body_idle_seconds,
        write_idle_seconds=limits.write_idle_seconds,
        body_bytes_per_second=limits.body_bytes_per_second,
        response_bytes_per_second=limits.response_bytes_per_second,
        response_buffer=BufferLimits(
            limits.response_buffer_bytes, limits.response_buffer_total_bytes, limits.spool_bytes
        ),
        websocket=WebSocketLimits(limits.websocket_message_bytes, limits.websocket_fragments),
        websocket_idle_seconds=limits.websocket_idle_seconds,
        websocket_close_seconds=limits.websocket_close_seconds,
        http2=_session_limits(limits),
        http3_unacked_bytes=limits.http3_unacked_bytes,
    )


def _session_limits(limits: LimitsConfig) -> SessionLimits:
    """The limits of a head are those of HTTP/1.1."""
    return SessionLimits(
        streams=limits.http2_streams,
        stream_window_bytes=limits.http2_stream_window_bytes,
        stream_window_most_bytes=limits.http2_stream_window_most_bytes,
        connection_window_bytes=limits.http2_connection_window_bytes,
        resets=limits.http2_resets,
        resets_per_second=limits.http2_resets_per_second,
        control_frames=limits.http2_control_frames,
        control_frames_per_second=limits.http2_control_frames_per_second,
        settings_seconds=limits.http2_settings_seconds,
        header_list_bytes=limits.head_bytes,
        header_count=limits.header_count,
        header_bytes=limits.header_bytes,
    )
