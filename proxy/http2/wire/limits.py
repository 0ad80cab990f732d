"""What one HTTP/2 connection may use. Pure.

`config/example.toml` gives the reason of each default.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The limits of one HTTP/2 connection; bytes and seconds.

    A budget has a burst, which may come at once, and a rate at which it fills again. The code that
    keeps the budget says what fills it further.
    """

    streams: int
    """Open requests; SETTINGS_MAX_CONCURRENT_STREAMS tells the client (RFC 9113 section 6.5.2)."""
    stream_window_bytes: int
    """What a client may send of one body before we take any of it: SETTINGS_INITIAL_WINDOW_SIZE."""
    stream_window_most_bytes: int
    """How far the window of one stream may grow."""
    connection_window_bytes: int
    """What a client may send of all bodies together before we take any of it."""
    resets: int
    """The burst of streams that end by RST_STREAM: the client's, or ours for its errors."""
    resets_per_second: float
    control_frames: int
    """The burst of frames that cost work and carry no request."""
    control_frames_per_second: float
    settings_seconds: float
    """How long a client may take to acknowledge our SETTINGS (RFC 9113 section 6.5.3)."""
    header_list_bytes: int
    """A decoded list of fields: names, values, and 32 for each field (RFC 9113 section 6.5.2)."""
    header_count: int
    header_bytes: int
    """One field: its name and its value."""
