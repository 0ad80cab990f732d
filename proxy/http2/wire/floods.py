"""Budgets for what costs us work and brings no request further. Pure.

Each kind of frame has a budget of its own, so that honest use of one does not eat into another.
A budget fills again with time and with honest progress: a client that takes what it asked for may
continue for weeks. One that exceeds a budget loses its connection (RFC 9113 10.5).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.limits import SessionLimits


class FloodReason(StrEnum):
    """Which budget was exceeded. In the log a colon and a sentence follow."""

    RAPID_RESET = "rapid_reset"
    """Streams that the client reset (CVE-2023-44487)."""
    PROVOKED_RESETS = "provoked_resets"
    """Streams that we reset for errors of the client (CVE-2025-8671)."""
    REFUSED_STREAMS = "refused_streams"
    """Streams beyond the announced number."""
    CONTINUATIONS = "continuation_flood"
    """A header block of too many frames or bytes (CVE-2024-27316, CVE-2023-45288)."""
    SETTINGS = "settings_flood"
    """CVE-2019-9515."""
    PINGS = "ping_flood"
    """CVE-2019-9512."""
    EMPTY_DATA = "empty_data_flood"
    """DATA without content that does not end its stream (CVE-2019-9518)."""
    WINDOW_UPDATES = "window_update_flood"
    """Credit in crumbs (CVE-2019-9511)."""
    PRIORITIES = "priority_flood"
    """CVE-2019-9513."""
    UNKNOWN_FRAMES = "unknown_frame_flood"
    LATE_FRAMES = "late_frame_flood"
    """Frames for streams that are closed."""
    UNREAD_FRAMES = "unread_frames"
    """The client does not read what its frames made us send (CVE-2019-9515)."""


# Some frames cost more work than others, and honest clients send fewer of them.
_SETTINGS_COST: Final = 10
_EMPTY_DATA_COST: Final = 4

# Honest progress. A client may answer each DATA frame with credit for the stream and for the
# connection. Some give credit for each read of a small buffer.
_UPDATES_PER_FRAME: Final = 2
_BYTES_PER_UPDATE: Final = 256
# Firefox and nghttp sent PRIORITY with each request. Chromium adds frames of unknown types.
_PRIORITIES_PER_STREAM: Final = 2

# The number of answers taken by the client that allow one reset more. A client gets an error or the
# answer to HEAD for 15 bytes. If each allowed a reset, such requests would pay for as many that
# reach a server and are cancelled. Honest clients cancel far less than they take, and time allows
# more.
_ANSWERS_PER_RESET: Final = 4

# More than fit in one reading of the socket would be a fault before the driver could write.
_UNREAD_FACTOR: Final = 4


def flood(reason: FloodReason, sentence: str) -> ConnectionFault:
    """The fault that ends a connection for a flood."""
    return ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"{reason}: {sentence}")


class FloodBudget:
    """A number that may be spent; it fills with time up to a burst."""

    def __init__(
        self, reason: FloodReason, burst: int, per_second: float, now: float, clock: Callable[[], float]
    ) -> None:
        self._reason: Final = reason
        self._burst: Final = burst
        self._per_second: Final = per_second
        self._clock: Final = clock
        self._left = burst
        self._since = now

    def spend(self, cost: int) -> None:
        """Raise ConnectionFault if less than `cost` is left."""
        # The clock is read only when the number runs out: nearly never.
        if self._left < cost:
            self._refill()
            if self._left < cost:
                raise flood(self._reason, "the peer sends too many of them")
        self._left -= cost

    def earn(self, gain: int) -> None:
        """Progress adds `gain`."""
        self._left = min(self._burst, self._left + gain)

    def _refill(self) -> None:
        now = self._clock()
        gain = int(min((now - self._since) * self._per_second, 2.0 * self._burst))
        # what is left of the time counts the next time
        self._since = self._since + gain / self._per_second if gain < self._burst else now
        self._left = min(self._burst, self._left + gain)


class FloodBudgets:
    def __init__(self, limits: SessionLimits, clock: Callable[[], float]) -> None:
        now = clock()
        burst = limits.resets
        rate = limits.resets_per_second
        self.resets: Final = FloodBudget(FloodReason.RAPID_RESET, burst, rate, now, clock)
        self.provoked: Final = FloodBudget(FloodReason.PROVOKED_RESETS, burst, rate, now, clock)
        burst = limits.control_frames
        rate = limits.control_frames_per_second
        self.refused: Final = FloodBudget(FloodReason.REFUSED_STREAMS, burst, rate, now, clock)
        self.settings: Final = FloodBudget(FloodReason.SETTINGS, burst, rate, now, clock)
        self.pings: Final = FloodBudget(FloodReason.PINGS, burst, rate, now, clock)
        self.empty_data: Final = FloodBudget(FloodReason.EMPTY_DATA, burst, rate, now, clock)
        self.window_updates: Final = FloodBudget(FloodReason.WINDOW_UPDATES, burst, rate, now, clock)
        self.priorities: Final = FloodBudget(FloodReason.PRIORITIES, burst, rate, now, clock)
        self.unknown: Final = FloodBudget(FloodReason.UNKNOWN_FRAMES, burst, rate, now, clock)
        self.late_frames: Final = FloodBudget(FloodReason.LATE_FRAMES, burst, rate, now, clock)
        self._answers = 0
        self.unread = 0
        self._most_unread: Final = _UNREAD_FACTOR * burst

    def settings_frame(self) -> None:
        """Count SETTINGS; raises ConnectionFault, as the others do."""
        self.settings.spend(_SETTINGS_COST)

    def empty_data_frame(self) -> None:
        """Count DATA without content."""
        self.empty_data.spend(_EMPTY_DATA_COST)

    def answer_frame(self) -> None:
        """Count a frame that a frame of the client made us queue."""
        self.unread += 1
        if self.unread > self._most_unread:
            raise flood(FloodReason.UNREAD_FRAMES, "the peer takes no answers to its frames")

    def stream_opened(self) -> None:
        """A request may be accompanied by frames that say nothing."""
        self.priorities.earn(_PRIORITIES_PER_STREAM)
        self.unknown.earn(1)

    def stream_completed(self) -> None:
        """A client that takes whole answers may give up others."""
        self._answers += 1
        if self._answers == _ANSWERS_PER_RESET:
            self._answers = 0
            self.resets.earn(1)
            self.provoked.earn(1)
        self.refused.earn(1)
        self.late_frames.earn(1)

    def data_sent(self, frames: int, size: int) -> None:
        """`size` bytes were sent. `frames` are the DATA frames that no small window cut."""
        self.window_updates.earn(frames * _UPDATES_PER_FRAME + size // _BYTES_PER_UPDATE)
        # gRPC measures the bandwidth by a PING in each round trip that brings it data
        self.pings.earn(frames)
