"""Which connections can be read or written: one epoll set for all connections of a loop.

Theory of operation. The loop waits for one descriptor, that of the set. To register a socket costs
6 µs with uvloop and 2 µs here, and a connection registers twice and unregisters twice. A report of
the kernel costs a third less as well. The set is level-triggered: bytes that are left are reported
again, and so is a reset behind bytes. uvloop would report that reset only once, while there are
still bytes to be read.

A report can be stale. A stream may close another one of the same batch, and a new socket may get
the number of that one. Sockets do not block, so the new one finds no work. A socket is always
unregistered before it is closed. The kernel forgets a descriptor only when no process has the
socket any more, and a socket from another worker may be open there for a moment.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from select import epoll
from typing import Final

from mypy_extensions import mypyc_attr

__all__ = ["EPOLLIN", "EPOLLOUT", "Ready", "SocketReadiness"]

# linux/eventpoll.h. Constants of ours are numbers in compiled code; others are looked up by name.
EPOLLIN: Final = 0x1
EPOLLOUT: Final = 0x4

# Timers, signals and new connections wait while the reports of a turn are handled.
_MOST_REPORTS: Final = 64


@mypyc_attr(allow_interpreted_subclasses=True)
class Ready:
    """A stream that waits for its socket. A class, as `byte_stream.StreamOwner` is."""

    def ready(self, events: int) -> None:
        """Do what can be done; `events` as in epoll_wait(2)."""


class SocketReadiness:
    """One per loop."""

    def __init__(self, loop: AbstractEventLoop, reported: Callable[[], None]) -> None:
        """Start without sockets. `reported` is called when the reports of a turn are handled, and
        may set `is_reporting` to false before it is over.
        """
        self._epoll: Final = epoll()
        self._reported: Final = reported
        self._waiting: Final[dict[int, Ready]] = {}
        self.is_reporting = False
        """Whether `reported` is about to be called."""
        self.reports = 1
        """How many there were in the last turn that had some."""
        loop.add_reader(self._epoll, self._report)

    def __len__(self) -> int:
        return len(self._waiting)

    def change(self, descriptor: int, before: int, events: int, waiting: Ready) -> None:
        """Wait for `events` on a descriptor instead of those `before`; 0 for none."""
        if not before:
            self._epoll.register(descriptor, events)
            self._waiting[descriptor] = waiting
        elif events:
            self._epoll.modify(descriptor, events)
        else:
            del self._waiting[descriptor]
            self._epoll.unregister(descriptor)

    def _report(self) -> None:
        waiting = self._waiting
        self.is_reporting = True
        try:
            reports = self._epoll.poll(0, _MOST_REPORTS)
            self.reports = max(1, len(reports))
            for descriptor, events in reports:
                one = waiting.get(descriptor)
                if one is not None:  # an earlier report of this batch closed it
                    one.ready(events)
        finally:
            try:
                self._reported()
            finally:
                self.is_reporting = False
