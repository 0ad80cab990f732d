"""The one class that registers, reads, writes and closes a connected socket.

A descriptor whose number was reused would deliver the events of one connection to another. So only
`SocketStream` registers a connection (see `readiness`) or closes it, and it unregisters first.

All streams of a loop read into one buffer, so a view is valid only during the call that gets it.
They send small pieces together, at the end of the loop's turn (see `shared_io`).
"""

import socket
from collections.abc import Callable
from socket import SocketType
from typing import TYPE_CHECKING, Final

from proxy.net.byte_stream import NO_OWNER, ByteOwner, StreamOwner
from proxy.net.counted_bytes import WireStream
from proxy.net.linger import Linger
from proxy.net.readiness import EPOLLIN, EPOLLOUT
from proxy.net.shared_io import READ_BUFFER_BYTES, RELAYED_BYTES, SharedIo
from proxy.net.tcp_options import acknowledge_now, reset_at_close, unread_bytes, unsent_bytes

if TYPE_CHECKING:
    from proxy.net.time_limit import TimeLimit

# The bytes that may wait for the end of the turn. More than a TLS record gets a send of its own,
# which also shows at once whether the kernel takes more.
_SMALL_BYTES: Final = 16_384
# 1 MiB at most, with the 64 KiB buffer: what a server answers before it closes is far smaller.
_READS_AFTER_FAILED_SEND: Final = 16
# The last bytes and the end of the stream go out as one segment, and wake the peer once.
_FIN_FOLLOWS: Final = socket.MSG_MORE


class SocketStream(WireStream):
    """A connected, non-blocking stream socket with bounded buffering.

    Small pieces wait for the end of the turn (`_outbox`). What the kernel does not take then is
    kept (`_backlog`), and the owner is paused until the kernel has taken all of it. So the stream
    holds no more than the owner wrote before the pause.
    """

    was_truncated: Final = False
    """A FIN is all that a peer says at the end of a stream that is not encrypted."""

    def __init__(
        self,
        io: SharedIo,
        sock: SocketType,
        owner: StreamOwner[memoryview],
        linger: Linger,
        *,
        read_bytes: int = READ_BUFFER_BYTES,
        closed: Callable[[], None] | None = None,
    ) -> None:
        """Take over `sock` (connected, non-blocking), to read `read_bytes` at most at a time.

        Without that number they become more, as long as each read brings all that it has room for.

        Reading starts with `resume_reading`. `closed` is called when the socket is closed, also
        after a change of the owner: for counts of connections.
        """
        super().__init__()
        self._linger_limits: Final = linger
        self.closed = closed
        self._io: Final = io
        self._sock: SocketType | None = sock
        self._view = io.room(read_bytes)
        self._most_reads = 1
        self.owner: StreamOwner[memoryview] = owner
        self._watched = 0
        self._backlog = b""
        self._wants_end = False
        self._ends_writing = False
        self._discard_left = 0
        self._linger: TimeLimit | None = None

    def hand_over(self, owner: ByteOwner) -> None:
        """Also read `RELAYED_BYTES` at most at a time: no budget bounds what waits in a relay."""
        self.owner = owner
        if len(self._view) > RELAYED_BYTES:
            self._view = self._io.room(RELAYED_BYTES)

    @property
    def is_open(self) -> bool:
        return self._sock is not None

    @property
    def is_blocked(self) -> bool:
        """Whether bytes wait here for the kernel."""
        return bool(self._backlog)

    @property
    def held_bytes(self) -> int:
        return len(self._backlog) + len(self._outbox)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the peer has not acknowledged, here and in the kernel. A system call."""
        return 0 if self._sock is None else self.held_bytes + unsent_bytes(self._sock)

    @property
    def unread_bytes(self) -> int:
        """Bytes of the peer that wait in the kernel. A system call."""
        return 0 if self._sock is None else unread_bytes(self._sock)

    # -- reading

    def resume_reading(self) -> None:
        """Deliver what the peer sends, from the next turn of the loop on."""
        if self._sock is not None and not self._watched & EPOLLIN:
            self._watch(self._sock, self._watched | EPOLLIN)

    def pause_reading(self) -> None:
        if self._sock is not None and self._watched & EPOLLIN:
            self._watch(self._sock, self._watched & ~EPOLLIN)
        self._read_little()

    def _read_little(self) -> None:
        """Read no more at a time than at first: what a slow peer does not take would be as much."""
        if len(self._view) > READ_BUFFER_BYTES:
            self._view = self._io.room(READ_BUFFER_BYTES)

    def _watch(self, sock: SocketType, events: int) -> None:
        self._io.readiness.change(sock.fileno(), self._watched, events, self)
        self._watched = events

    def ready(self, events: int) -> None:
        """Read and write as far as possible. A reset is found behind the bytes before it."""
        if events & ~EPOLLOUT and self._watched & EPOLLIN:
            # others that have something wait for the end of this
            left = self._most_reads if self._io.readiness.reports == 1 else 1
            while self._readable() and left > 1 and self._most_reads > 1 and self._watched & EPOLLIN:
                left -= 1
                self.flush()  # the peer may wait for it: a credit of HTTP/2
        if events & ~EPOLLIN and self._watched & EPOLLOUT:
            self._writable()

    def _readable(self) -> bool:
        """Read once. Returns whether there may be more: what came has filled the room."""
        sock = self._sock
        assert sock is not None  # it is unregistered before it goes
        room = len(self._view)
        try:
            count = self._came(sock.recv_into(self._view))
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._lose(error)
            return False
        if self._wants_end:
            self._discard(count)
        elif count:
            if count >= READ_BUFFER_BYTES and count == room:
                self._view = self._io.larger_room(self._view)
            self.owner.data_received(self._io.received(count))
        else:
            self.pause_reading()
            self.owner.eof_received()
        return count == room

    def limit_reads(self, most: int, reads: int = 1) -> None:
        """Read `most` bytes at most at a time from now on.

        From the next turn on do it up to `reads` times while each read brings all of that, and no
        other stream has something.
        """
        self._view = self._io.room(most)
        self._most_reads = reads

    def read_on(self, most: int) -> memoryview:
        """Read more, inside a `data_received` that has used its view. An end is told next turn."""
        count = 0
        try:
            count = 0 if self._sock is None else self._came(self._sock.recv_into(self._view, most))
        except OSError as error:
            if not isinstance(error, (BlockingIOError, InterruptedError)):
                self.pause_reading()  # the kernel has told it, and would report the end of the stream next
                self._fail_soon(error)
        return self._view[:count]

    def _discard(self, count: int) -> None:
        """Forget bytes while we linger: unread ones would make the kernel send a reset."""
        self._discard_left -= count
        if count == 0 or self._discard_left < 0:
            if self._backlog:
                self.pause_reading()  # the peer may still take what it has not got yet; after that we come back to it
            else:
                self._lose(None)

    def acknowledge(self) -> None:
        """Acknowledge at once: a peer without TCP_NODELAY waits 40 ms (RFC 9293 section 3.7.4)."""
        if self._sock is not None:
            acknowledge_now(self._sock)

    # -- writing

    def write(self, data: bytes) -> None:
        """Send `data` before this turn of the loop ends."""
        if self._sock is None or self._wants_end:
            return
        if self._backlog:
            self._backlog += data
        elif self._outbox:
            self._outbox += data
            if len(self._outbox) > _SMALL_BYTES:
                self.flush()
        else:
            self._outbox = data
            if len(data) > _SMALL_BYTES:
                self.flush()
            else:
                self._io.enlist(self)

    def flush(self, flags: int = 0) -> None:
        """Send what was written, with `flags` of send(2). Keep the rest, and pause the owner."""
        data = self._outbox
        sock = self._sock
        if not data or sock is None:
            return
        self._outbox = b""
        try:
            sent = self._went(sock.send(data, flags))
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail_soon(error)
            return
        if sent != len(data):
            self._backlog = data[sent:]
            self._watch(sock, self._watched | EPOLLOUT)
            self.owner.pause_writing()

    def _writable(self) -> None:
        assert self._sock is not None  # it is unregistered before it goes
        try:
            sent = self._went(self._sock.send(self._backlog))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._read_out(error)
            return
        self._backlog = self._backlog[sent:]
        if self._backlog:
            return
        self._watch(self._sock, self._watched & ~EPOLLOUT)
        if self._wants_end:
            self._end()
            return
        if self._ends_writing:
            self._shut_down()
        self.owner.resume_writing()

    def _fail_soon(self, error: OSError) -> None:
        """Report a failed send in the next turn: no owner is called from inside its own call."""
        self._backlog = b""
        self._io.loop.call_soon(self._read_out, error)

    def _read_out(self, error: OSError) -> None:
        """Deliver what arrived before the peer closed: it may say why the peer takes no more."""
        self._read_little()
        for _ in range(_READS_AFTER_FAILED_SEND):
            if self._sock is None or self._wants_end:
                break
            try:
                count = self._came(self._sock.recv_into(self._view))
            except OSError:
                break
            if count == 0:
                break
            self.owner.data_received(self._io.received(count))
        self._lose(error)

    # -- ending

    def end_writing(self) -> None:
        """End our direction (FIN) behind what was written, and continue reading."""
        self.flush(_FIN_FOLLOWS)
        self._ends_writing = True
        if not self._backlog:
            self._shut_down()

    def _shut_down(self) -> None:
        try:
            if self._sock is not None:
                self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail_soon(error)

    def end(self) -> None:
        """Flush, end our direction (FIN), discard what still arrives, then close.

        Without the discarding a peer that is still sending gets a reset, which can destroy our last
        bytes before it reads them (RFC 9112 section 9.6). Flushing has a time of its own: the bytes
        for a slow reader are not cut off.
        """
        if self._sock is None or self._wants_end:
            return
        self.flush(_FIN_FOLLOWS)
        self._wants_end = True
        self._discard_left = self._linger_limits.discard_bytes
        if self._backlog:
            self._begin_time(self._linger_limits.flush_seconds)
        else:
            self._end()

    def _end(self) -> None:
        self._begin_time(self._linger_limits.seconds)
        self._shut_down()
        self.resume_reading()

    def _begin_time(self, seconds: float) -> None:
        if self._linger is not None:
            self._linger.forget(self)
        self._linger = self._io.time_limit(seconds)
        self._linger.begin(self)

    def time_over(self) -> None:
        """Close: the peer took too long (`time_limit.Limited`)."""
        self._linger = None
        self._lose(None)

    def end_at_once(self) -> None:
        """Flush, then close without lingering: for a peer that has said that it sends no more."""
        self.flush(_FIN_FOLLOWS)
        if self._backlog:
            self.end()
        elif self._sock is not None and not self._wants_end:
            self._wants_end = True
            self.abort()

    def abort(self) -> None:
        """Close at once, and tell the owner next turn. What the kernel does not take is lost."""
        self.flush()  # now: the kernel drops unsent bytes at the close if it has unread bytes of the peer
        if self._sock is not None:
            self._io.loop.call_soon(self._lose, None)
            self.pause_reading()

    def cut(self) -> None:
        """Close at once, so that the peer sees that something is missing: by a reset."""
        if self._sock is not None:
            reset_at_close(self._sock)
            self.abort()

    def drop(self) -> None:
        """Close now; unsent bytes are lost. Not for an owner inside a call of this stream."""
        self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        sock = self._sock
        if sock is None:
            return
        if self._linger is not None:
            self._linger.forget(self)
            self._linger = None
        if self._watched:
            self._watch(sock, 0)
        self._sock = None
        self._outbox = self._backlog = b""
        sock.close()
        if self.closed is not None:
            self.closed()
        owner, self.owner = self.owner, NO_OWNER
        owner.connection_lost(error)
