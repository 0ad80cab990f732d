"""What all sockets of one loop share: who waits for what, the buffer they are read into, and the sends of the current turn.

Theory of operation. A send to a peer that sleeps wakes it, and that costs more than the send: 5 µs and more where the peer is
on this machine, as chat servers behind a proxy often are. So streams do not send small pieces one by one. They enlist here, and
at the end of the loop's turn all send, one right after the other: the first one wakes the peer, which then finds the others'
bytes without having slept again. With 64 busy connections that is a quarter of the cost of a request.

Reading goes into one fixed buffer: a fresh 64 KiB buffer per read costs more than the rest of a request together (glibc maps
and unmaps it each time).
"""

from asyncio import AbstractEventLoop
from typing import Final, Protocol

from proxy.net.readiness import SocketReadiness

READ_BUFFER_BYTES: Final = 65_536
# More do not save more, and the first one would wait for the work of all others: at 30 µs each, two milliseconds.
_MOST_STREAMS: Final = 64


class Sender(Protocol):
    """A stream that has something to send."""

    def flush(self) -> None:
        """Send it now."""


class SharedIo:
    """One per loop."""

    __slots__ = ("_senders", "loop", "readiness", "view")

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Nobody has anything to send."""
        self.loop: Final = loop
        self.readiness: Final = SocketReadiness(loop)
        self.view: Final = memoryview(bytearray(READ_BUFFER_BYTES))
        self._senders: list[Sender] = []

    def enlist(self, sender: Sender) -> None:
        """Have `sender` flushed when this turn of the loop ends, at once where many wait already."""
        senders = self._senders
        if not senders:
            self.loop.call_soon(self.flush)
        senders.append(sender)
        if len(senders) >= _MOST_STREAMS:
            self.flush()

    def flush(self) -> None:
        """Send what everybody has."""
        senders, self._senders = self._senders, []
        waiting = iter(senders)
        try:
            for sender in waiting:
                sender.flush()
        except BaseException:
            # one owner that fails must not strand what the others have
            for sender in waiting:
                self.enlist(sender)
            raise
