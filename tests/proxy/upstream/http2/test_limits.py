"""The limits of a connection to a server."""

from proxy.http.head import HeadLimits
from proxy.upstream.http2.limits import STREAMS, session_limits


def test_the_connection_has_a_window_for_all_streams() -> None:
    limits = session_limits(10_000, HeadLimits(1_000, 20, 2_000))
    assert limits.streams == STREAMS
    assert limits.connection_window_bytes == STREAMS * limits.stream_window_most_bytes


def test_heads_are_bounded_as_those_of_http1() -> None:
    limits = session_limits(10_000, HeadLimits(1_000, 20, 2_000))
    assert (limits.header_list_bytes, limits.header_count, limits.header_bytes) == (10_000, 20, 2_000)
