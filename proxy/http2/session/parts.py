"""What the parts of a session share: streams, windows, budgets, and what is to be sent. Pure."""

from collections.abc import Callable
from typing import Final

from proxy.http2.streams.flow import ReceiveWindow, StreamWindows
from proxy.http2.streams.outbox import Outbox
from proxy.http2.streams.stream_table import StreamTable
from proxy.http2.wire.floods import FloodBudgets
from proxy.http2.wire.limits import SessionLimits


class SessionParts:
    def __init__(self, limits: SessionLimits, clock: Callable[[], float], *, is_server: bool) -> None:
        """`clock` gives seconds and never goes back; `is_server` says which side we are."""
        self.limits: Final = limits
        self.clock: Final = clock
        self.budgets: Final = FloodBudgets(limits, clock)
        self.table: Final = StreamTable(limits, is_server=is_server)
        self.received: Final = ReceiveWindow(limits.connection_window_bytes, limits.stream_window_bytes)
        self.windows: Final = StreamWindows(limits, clock)
        self.outbox: Final = Outbox(self.table, self.budgets, self.received, self.windows)
