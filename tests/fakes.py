"""Stand-ins for what surrounds a unit: a loop whose turns and time a test makes, owners and observers that keep a record."""

import asyncio
import errno
import heapq
import select
import socket
from asyncio import AbstractEventLoop, Handle, TimerHandle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from proxy.net.byte_stream import StreamOwner
from proxy.net.linger import Linger
from proxy.net.shared_io import READ_BUFFER_BYTES, SharedIo
from proxy.net.sockets import SocketStream
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.results import Established, Failed, UnopenedHello
from proxy.tls.openssl.stream import TlsStream

LINGER = Linger(discard_bytes=262_144, seconds=2.0, flush_seconds=60.0)
_MOST_TURNS = 10_000
_POLICY_FIELDS = (
    "pq",
    "preference",
    "identities",
    "hello_bytes",
    "wire_bytes",
    "alert_context",
    "tls_limits",
    "protocols",
    "passthrough",
)
_IDENTITY_FIELDS = ("name", "names", "context", "plan", "clients", "reserved")

_Loop: Any = AbstractEventLoop


def ready_of(
    readers: Collection[socket.socket | select.epoll], writers: Collection[socket.socket | select.epoll] = ()
) -> tuple[list[socket.socket | select.epoll], list[socket.socket | select.epoll]]:
    """What can be read and written now. Unlike `select`, also of a process that has a thousand descriptors."""
    try:
        # it takes less work, and that of a connection is counted with this in it
        readable, writable, _ = select.select(readers, writers, [], 0)
    except ValueError:  # a descriptor is too high for it
        pass
    else:
        return readable, writable
    poll = select.poll()
    for one in readers:
        poll.register(one, select.POLLIN)
    for one in writers:
        poll.register(one, select.POLLOUT | (select.POLLIN if one in readers else 0))
    found = dict(poll.poll(0))
    return (
        [one for one in readers if found.get(one.fileno(), 0) & ~select.POLLOUT],
        [one for one in writers if found.get(one.fileno(), 0) & (select.POLLOUT | select.POLLERR)],
    )


class FakeLoop(_Loop):  # type: ignore[misc]  # as its stubs have 43 abstract methods, of which one needs ten
    """An event loop with real sockets, in which nothing happens but by `turn`, and no time passes but by `advance`.

    Strict where uvloop is fatal: it takes objects only, no numbers, and one that is closed while it is registered is an error.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.readers: dict[socket.socket | select.epoll, Callable[[], None]] = {}
        self.writers: dict[socket.socket | select.epoll, Callable[[], None]] = {}
        self.ready: list[Handle] = []
        self.timers: list[TimerHandle] = []
        self.failures: list[Exception] | None = None
        """Exceptions of callbacks, for a test that expects some; None: there must be none."""

    def time(self) -> float:
        """The time of this loop."""
        return self.now

    def get_debug(self) -> bool:
        """Handles ask."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback failed."""
        if self.failures is None:
            raise context["exception"]
        self.failures.append(context["exception"])

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Register for reading."""
        self.readers[_checked(fd)] = lambda: callback(*args)

    def remove_reader(self, fd: Any) -> bool:
        """Unregister for reading."""
        return self.readers.pop(_checked(fd), None) is not None

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Register for writing."""
        self.writers[_checked(fd)] = lambda: callback(*args)

    def remove_writer(self, fd: Any) -> bool:
        """Unregister for writing."""
        return self.writers.pop(_checked(fd), None) is not None

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:
        """Run in the next turn."""
        handle = Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:
        """As `call_soon`, from any thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> TimerHandle:
        """Run when `advance` has come so far."""
        timer = TimerHandle(self.now + delay, callback, args, self, context)
        heapq.heappush(self.timers, timer)
        return timer

    def _timer_handle_cancelled(self, timer: TimerHandle) -> None:
        self.timers = [one for one in self.timers if one is not timer]  # a running one is not among them any more
        heapq.heapify(self.timers)

    def turn(self) -> bool:
        """One turn: what the sockets report, then what was called soon before it. Whether anything happened."""
        ready, self.ready = self.ready, []
        everything = {*self.readers, *self.writers}
        readable, writable = ready_of(self.readers, self.writers)
        for sock in everything:
            if sock in readable and sock in self.readers:
                self.readers[sock]()
            if sock in writable and sock in self.writers:
                self.writers[sock]()
        for handle in ready:
            if not handle.cancelled():
                handle._run()
        return bool(ready or readable or writable)

    def settle(self) -> None:
        """Turn until nothing happens any more."""
        for _ in range(_MOST_TURNS):
            if not self.turn():
                return
        raise AssertionError("the loop never comes to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while self.timers and self.timers[0].when() <= end:
            self.next_timer()
        self.now = end
        self.settle()

    def next_timer(self) -> None:
        """Go to the next timer, and let happen what follows from it."""
        timer = heapq.heappop(self.timers)
        self.now = max(self.now, timer.when())
        timer._run()
        self.settle()


def _checked(fd: Any) -> socket.socket | select.epoll:
    assert isinstance(fd, socket.socket | select.epoll), "uvloop aborts the process when it gets a number"
    assert fd.fileno() >= 0, "closed before it was unregistered"
    return fd


def changed_policy(policy: HandshakePolicy, **changes: Any) -> HandshakePolicy:
    """A policy with some of its fields changed."""
    return HandshakePolicy(**{name: getattr(policy, name) for name in _POLICY_FIELDS} | changes)


def changed_identity(identity: ServerIdentity, **changes: Any) -> ServerIdentity:
    """An identity with some of its fields changed, for all groups."""
    return ServerIdentity(**{name: getattr(identity, name) for name in _IDENTITY_FIELDS} | changes)


class RecordingOwner(StreamOwner[bytes | memoryview]):
    """Owner of a `SocketStream` or a `TlsStream`. `events` has what happened, in order; neighbouring data is joined."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.when_data: Callable[[bytes], None] = lambda _: None
        self.when_eof: Callable[[], None] = lambda: None
        self.when_paused: Callable[[], None] = lambda: None
        self.when_resumed: Callable[[], None] = lambda: None
        self.when_lost: Callable[[], None] = lambda: None

    def data_received(self, data: bytes | memoryview) -> None:
        """Note the bytes, then do what the test wants done."""
        piece = bytes(data)
        before = self.events.pop()[1] if self.events and self.events[-1][0] == "data" else b""
        self.events.append(("data", before + piece))
        self.when_data(piece)

    def eof_received(self) -> None:
        """Note it."""
        self.events.append(("eof", None))
        self.when_eof()

    def connection_lost(self, error: OSError | None) -> None:
        """Note the kind of error."""
        self.events.append(("lost", None if error is None else type(error)))
        self.when_lost()

    def pause_writing(self) -> None:
        """Note it."""
        self.events.append(("pause", None))
        self.when_paused()

    def resume_writing(self) -> None:
        """Note it."""
        self.events.append(("resume", None))
        self.when_resumed()

    @property
    def data(self) -> bytes:
        """Everything received."""
        return b"".join(value for kind, value in self.events if kind == "data")

    @property
    def kinds(self) -> list[str]:
        """What happened, without details."""
        return [kind for kind, _ in self.events]

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone, which must be the last thing and happen once."""
        return "lost" in self.kinds and self.kinds.index("lost") == len(self.kinds) - 1


class RecordingObserver:
    """Whoever waits for a handshake: `results` and `failures` as they came; the streams get a `RecordingOwner` each."""

    def __init__(self) -> None:
        self.results: list[Established] = []
        self.failures: list[Failed] = []
        self.challenges: list[str] = []
        self.unopened: list[UnopenedHello] = []
        self.streams: list[TlsStream] = []
        self.owners: list[RecordingOwner] = []
        self.when_established: Callable[[TlsStream], None] = lambda _: None
        self.hellos = 0
        self.takes_hello = True
        self.slow_exchanges = 0
        self.takes_slow_exchange = True
        self.token_turns: list[str] = []

    def hello_complete(self) -> bool:
        """Count it."""
        self.hellos += 1
        return self.takes_hello

    def slow_exchange_begins(self) -> bool:
        """Count it."""
        self.slow_exchanges += 1
        return self.takes_slow_exchange

    def token_asked(self) -> None:
        """It waits for a signature."""
        self.token_turns.append("asked")

    def token_answered(self) -> None:
        """It is the client's turn."""
        self.token_turns.append("answered")

    def handshake_established(self, result: Established, stream: TlsStream) -> None:
        """Take the stream over."""
        self.results.append(result)
        self.streams.append(stream)
        self.owners.append(RecordingOwner())
        stream.owner = self.owners[-1]
        self.when_established(stream)

    def handshake_failed(self, failure: Failed) -> None:
        """Note why."""
        self.failures.append(failure)

    def left_unopened(self, hello: UnopenedHello, stream: SocketStream) -> None:
        """Take the stream over."""
        self.unopened.append(hello)
        self.owners.append(RecordingOwner())
        stream.hand_over(self.owners[-1])

    def challenge_answered(self, server_name: str) -> None:
        """Note for which name."""
        self.challenges.append(server_name)

    @property
    def calls(self) -> int:
        """How many times it was told anything; once is right."""
        return len(self.results) + len(self.failures) + len(self.challenges)


class ScriptedSocket(socket.socket):
    """One end of a pair whose `send` and `shutdown` can be made to fail, as a reset of the peer makes them.

    `takes` is what the kernel has room for in all, None for its real room. `sent` are the sizes of what it took.
    """

    takes: int | None = None
    sent: list[int]
    send_error: OSError | None = None
    shutdown_error: OSError | None = None

    def send(self, data: Any, flags: int = 0) -> int:
        """Fail or send."""
        if self.send_error is not None:
            raise self.send_error
        sent = super().send(data if self.takes is None else memoryview(data)[: self.takes], flags)
        self.sent.append(sent)
        if self.takes is not None:
            self.takes -= sent
        return sent

    def shutdown(self, how: int) -> None:
        """Fail or shut down."""
        if self.shutdown_error is not None:
            raise self.shutdown_error
        super().shutdown(how)


def broken_pipe() -> OSError:
    """What `send` raises when the peer has closed."""
    return OSError(errno.EPIPE, "Broken pipe")


class PeerSocket(socket.socket):
    """A socket on which something is done before each look at what came."""

    before_recv: Callable[[], None]

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Do it, then receive."""
        self.before_recv()
        return super().recv(bufsize, flags)


class Wire:
    """A `SocketStream` on one end of a socket pair, the test on the other (`peer`, which never blocks).

    Whoever reads at the peer does so when the turn of the loop is over: what was written in it has been sent.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        owner: RecordingOwner | None = None,
        linger: Linger = LINGER,
        read_bytes: int = READ_BUFFER_BYTES,
        io: SharedIo | None = None,
    ) -> None:
        self.io = io or SharedIo(loop)
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        self.peer = PeerSocket(fileno=theirs.detach())
        self.peer.before_recv = self.io.flush
        self.peer.settimeout(0)
        self.sock = ScriptedSocket(fileno=ours.detach())
        self.sock.sent = []
        self.owner = owner or RecordingOwner()
        self.closed: list[bool] = []
        self.stream = SocketStream(
            self.io, self.sock, self.owner, linger, read_bytes=read_bytes, closed=lambda: self.closed.append(True)
        )

    @property
    def is_watched(self) -> bool:
        """Whether the stream waits for its socket."""
        return len(self.io.readiness) > 0

    def limit_buffers(self, size: int = 4_096) -> None:
        """Have the kernel take little, so that writing blocks soon."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def received(self, limit: int = 1 << 24) -> bytes:
        """Read what has arrived at the peer, up to `limit` bytes; a FIN is not an error."""
        data = b""
        while len(data) < limit:
            try:
                piece = self.peer.recv(limit - len(data))
            except BlockingIOError:
                break
            if not piece:
                break
            data += piece
        return data

    @property
    def peer_sees_end(self) -> bool:
        """Whether the peer, who has read everything, reads the end of the stream (not a reset)."""
        try:
            return self.peer.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give both ends back."""
        self.peer.close()
        self.sock.close()

    def end(self) -> None:
        """Give back all descriptors, also that of the epoll set: the loop takes no other turn."""
        self.close()
        self.io.readiness._epoll.close()

    async def gone(self) -> None:
        """Wait until the stream has lost its socket; for real loops."""
        lost = asyncio.get_running_loop().create_future()
        self.owner.when_lost = lambda: lost.set_result(None)
        if not self.owner.is_lost:
            await lost


@dataclass
class FakeFigures:
    """What a process has taken, as a test says."""

    descriptor_limit: int = 1_000
    lowest_free_descriptor: int = 20
    resident_bytes: int = 0
    given_back: int = 0
    """How often freed memory was returned."""
    garbage: int = 0
    """Memory that is freed but not returned."""

    def give_memory_back(self) -> float:
        """Return what is freed."""
        self.given_back += 1
        self.resident_bytes -= self.garbage
        self.garbage = 0
        return 0.001
