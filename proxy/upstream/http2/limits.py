"""What one HTTP/2 connection to a server may use. Pure."""

from typing import Final

from proxy.http.head import HeadLimits
from proxy.http2.wire.limits import SessionLimits

STREAMS: Final = 100
"""Requests on one connection: more would share its fate. Servers take 100 to 250."""
# A server near us needs no wider window; 5 MB/s go through it over 50 ms.
_STREAM_WINDOW: Final = 65_536
_LARGEST_STREAM_WINDOW: Final = 262_144
# As those of clients: a server sends far fewer.
_CONTROL_FRAMES: Final = 1_000
_CONTROL_FRAMES_PER_SECOND: Final = 100.0
# A server can only reset what we open.
_ANY_NUMBER: Final = 1 << 30
# A server that does not acknowledge our SETTINGS gets no other ones, so nothing depends on it.
_SETTINGS_SECONDS: Final = 60.0


def session_limits(head_bytes: int, head: HeadLimits) -> SessionLimits:
    """The limits for a server; the arguments are those on a response head of HTTP/1.1."""
    return SessionLimits(
        streams=STREAMS,
        stream_window_bytes=_STREAM_WINDOW,
        stream_window_most_bytes=_LARGEST_STREAM_WINDOW,
        # as wide as all streams together: a client that takes nothing delays no other one
        connection_window_bytes=STREAMS * _LARGEST_STREAM_WINDOW,
        resets=_ANY_NUMBER,
        resets_per_second=1.0,
        control_frames=_CONTROL_FRAMES,
        control_frames_per_second=_CONTROL_FRAMES_PER_SECOND,
        settings_seconds=_SETTINGS_SECONDS,
        header_list_bytes=head_bytes,
        header_count=head.header_count,
        header_bytes=head.header_bytes,
    )
