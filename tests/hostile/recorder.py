"""An upstream that records what reaches it, and answers with exactly the bytes it is told.

It reads by `strict`; the first byte that is not strictly well-formed is a violation, which fails the test. It runs in a thread
of its own. `settle` returns when everything that was on its way through the kernel has been read, so that counts are final
without waiting for time to pass: whatever the proxy wrote before its client heard from it is in by then.
"""

import contextlib
import itertools
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.hostile.answers import SWITCHING, Answer, Moment, Then, accept_for
from tests.hostile.segments import Segments
from tests.hostile.strict import Message, NotStrict, RequestReader
from tests.hostile.strict_frames import Frame, FrameReader

WAIT_SECONDS = 10.0
BLOCKED_SECONDS = 0.3
"""Over loopback: buffers that have taken nothing for so long are full."""
SENTINEL = "/sentinel/"
"""Requests below this path are answered as usual and not counted: the tests' own probes. Their WebSockets echo."""

_READ_BYTES = 262_144


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request whose head has come; its message's body grows until it is complete."""

    door: str
    message: Message
    connection: int
    """Requests with the same number came on the same connection."""

    @property
    def target(self) -> str:
        """Where it went."""
        return self.message.target


class _Connection:
    """One connection of the proxy."""

    def __init__(self, recorder: "Recorder", sock: socket.socket, door: str, number: int) -> None:
        self._recorder = recorder
        self.number = number
        self.sock = sock
        self.door = door
        self.reader = self._new_reader()
        self.steps: deque[Answer] = deque()
        self.request: Request | None = None
        self.is_answered = False
        self.frames: FrameReader | None = None
        self.out = memoryview(b"")
        self.then = Then.KEEP
        self.is_ended = False
        self.is_open = True

    def _new_reader(self) -> RequestReader:
        return RequestReader(is_peer_trusted=self.door in self._recorder.trusting_doors)

    def received(self, data: bytes) -> None:
        try:
            if self.frames is not None:
                self.frames.feed(data)
                if self.is_probe:
                    self._echo(self.frames.frames)
            else:
                self._read(data)
        except NotStrict as error:
            self._recorder.violations.append(f"{self.door}: {error}; in {data[:400]!r}")
            self.reader, self.request = self._new_reader(), None  # one fault is enough
            self.close()

    @property
    def is_probe(self) -> bool:
        """Whether its request is one of the tests' own."""
        return self.request is not None and self.request.target.startswith(SENTINEL)

    def _echo(self, frames: list[Frame]) -> None:
        for one in frames:
            self.out = memoryview(bytes(self.out) + bytes([one.first, len(one.payload)]) + one.payload)
        frames.clear()
        self.flush()

    def _read(self, data: bytes) -> None:
        if self.reader.is_complete:
            if not self.is_answered:
                raise NotStrict("bytes behind a request that was not answered")
            self.reader, self.request, self.is_answered = self._new_reader(), None, False
        self.reader.feed(data)
        if self.request is None and self.reader.message is not None:
            self.request = Request(self.door, self.reader.message, self.number)
            self.steps = deque(self._recorder.begin(self, self.request))
        if self.reader.is_complete and self.request is not None:
            self._recorder.completed(self.request)
        if self.request is not None:
            self._answer()
        if self.reader.rest:
            raise NotStrict(f"behind the request: {self.reader.rest[:100]!r}")

    def _answer(self) -> None:
        while self.steps and (self.steps[0].at is Moment.HEAD or self.reader.is_complete) and self.then is Then.KEEP:
            self.send(self.steps.popleft())

    def send(self, answer: Answer) -> None:
        data = answer.data
        if b"{accept}" in data and self.request is not None:
            (key,) = self.request.message.values("Sec-WebSocket-Key") or [""]
            data = data.replace(b"{accept}", accept_for(key))
        if answer.in_octets:
            data = self._sent_in_octets(data)
        self.out = memoryview(bytes(self.out) + data)
        self.then = answer.then
        self.is_answered = not self.steps
        if answer.then is Then.SWITCH:
            self.then = Then.KEEP
            self.frames = FrameReader(is_masked=True, reserved=self._recorder.reserved_bits)
            if not self.is_probe:
                self._recorder.frames = self.frames.frames
        self.flush()

    def _sent_in_octets(self, data: bytes) -> bytes:
        with contextlib.suppress(OSError), Segments(self.sock) as segments:  # a proxy that has had enough closes
            segments.send(data[i : i + 1] for i in range(len(data)))
        return b""

    def flush(self) -> None:
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if not self.out and self.then is not Then.KEEP:
            self._finish()
        self.watch()

    def _finish(self) -> None:
        if self.then is Then.RESET:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()
        elif not self.is_ended:
            self.is_ended = True
            with contextlib.suppress(OSError):  # the proxy has reset it
                self.sock.shutdown(socket.SHUT_WR)

    def watch(self) -> None:
        """Ask the selector for what is needed now."""
        if self.is_open:
            events = selectors.EVENT_WRITE if self.out else 0
            events |= 0 if self._recorder.is_paused else selectors.EVENT_READ
            self._recorder.watch(self, events)

    def ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self.flush()
        if events & selectors.EVENT_READ and self.is_open:
            try:
                data = self.sock.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.received(data)
            else:
                self.close()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._recorder.closed(self)
            self.sock.close()


class Recorder:
    """Listens on one port for each door. Counts and lists leave the tests' own probes out."""

    def __init__(self, doors: Sequence[str], trusting_doors: Sequence[str] = ()) -> None:
        """Start to listen. Behind a trusting door the proxy may hand on what its client says about others."""
        self.trusting_doors = frozenset(trusting_doors)
        self.begun: list[Request] = []
        self.complete: list[Request] = []
        self.cut: list[Request] = []
        """Requests whose connection ended before they did."""
        self.abandoned: list[Request] = []
        """Complete requests whose connection ended before they were answered to the end."""
        self.violations: list[str] = []
        self.is_paused = False
        self.reserved_bits = 0
        """What an extension lets the frames set."""
        self.frames: list[Frame] = []
        """What came on the connection that was switched last."""
        self.is_tunnel_closed = False
        self._numbers = itertools.count()
        self._scripts: deque[tuple[Answer, ...]] = deque()
        self._connections: list[_Connection] = []
        self._last: _Connection | None = None
        self._commands: deque[Callable[[], None]] = deque()
        self._settling: list[threading.Event] = []
        self._changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._woken)
        self._is_running = True
        self._listening: list[socket.socket] = []
        self.ports = {door: self._listen(door) for door in [*doors, *trusting_doors]}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- the tests' side

    def answer_next(self, *steps: Answer) -> None:
        """Answer the next request in these steps; without any it stays unanswered until `say`."""
        self._do(lambda: self._scripts.append(steps))

    def say(self, answer: Answer) -> None:
        """Send bytes on the connection that the last request came by, whether they are expected there or not."""
        self._do(lambda: self._last.send(answer) if self._last is not None and self._last.is_open else None)

    def allow_reserved_bits(self, bits: int) -> None:
        """Let an extension set these bits in the frames of the next connection that is switched."""
        self.reserved_bits = bits

    def pause(self) -> None:
        """Read nothing more."""
        self._do(lambda: self._set_paused(value=True))

    def resume(self) -> None:
        """Read again."""
        self._do(lambda: self._set_paused(value=False))

    def settle(self) -> None:
        """Return when nothing is left to be read. Fails if a head was cut, as the proxy writes each in one piece."""
        done = threading.Event()
        self._do(lambda: self._settling.append(done))
        assert done.wait(WAIT_SECONDS), "the recorder does not come to rest"

    def wait_for(self, condition: Callable[["Recorder"], bool]) -> None:
        """Return when the condition holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), WAIT_SECONDS), (
                f"never happened; begun {[request.target for request in self.begun]}, violations {self.violations}"
            )

    def wait_until_blocked(self) -> None:
        """Return when the last request is there and nothing of its answer has been taken for a while."""
        self.wait_for(lambda recorder: recorder.left_to_send > 0)
        with self._changed:
            left = -1
            while left != self.left_to_send:
                left = self.left_to_send
                self._changed.wait_for(partial(self._is_taking, left), BLOCKED_SECONDS)
            assert left, "the answer was taken to its end"

    def _is_taking(self, left: int) -> bool:
        return self.left_to_send != left

    @property
    def left_to_send(self) -> int:
        """How much of the answer to the last request is not with the kernel yet."""
        return 0 if self._last is None else len(self._last.out)

    def reset(self) -> None:
        """Forget everything that a test left; connections without a request in flight stay."""
        self.settle()
        done = threading.Event()
        self._do(lambda: self._reset(done))
        assert done.wait(WAIT_SECONDS), "the recorder is stuck"

    @property
    def open_connections(self) -> int:
        """Connections that the proxy holds to us."""
        return len(self._connections)

    def stop(self) -> None:
        """Close everything and end the thread."""
        self._do(self._stop)
        self._thread.join(WAIT_SECONDS)
        self._wake_out.close()

    # -- the connections' side, in the thread

    def begin(self, connection: _Connection, request: Request) -> tuple[Answer, ...]:
        """Count a request in, and say how to answer it."""
        body = request.target.encode()
        usual = (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)),)
        if request.target.startswith(SENTINEL):
            if request.message.values("Upgrade"):
                return (SWITCHING,)
            return usual if request.message.method == "GET" else ()
        self._last = connection
        self.begun.append(request)
        if request.message.method == "HEAD":
            usual = (Answer(usual[0].data.removesuffix(body)),)
        return self._scripts.popleft() if self._scripts else usual

    def completed(self, request: Request) -> None:
        """Count a request that has come to its end."""
        if not request.target.startswith(SENTINEL):
            self.complete.append(request)

    def closed(self, connection: _Connection) -> None:
        """Check what a closed connection leaves behind."""
        self.watch(connection, 0)
        self._connections.remove(connection)
        reader = connection.reader
        if reader.is_in_head:
            self.violations.append(f"{connection.door}: closed in the middle of a head")
        elif connection.request is not None and not reader.is_complete:
            self.cut.append(connection.request)
        elif connection.request is not None and (connection.out or not connection.is_answered):
            self.abandoned.append(connection.request)
        if connection.frames is not None and not connection.is_probe:
            self.is_tunnel_closed = True

    def watch(self, connection: _Connection, events: int) -> None:
        """Wait for these events on a connection."""
        known = self._selector.get_map().get(connection.sock)
        if known is None and events:
            self._selector.register(connection.sock, events, connection.ready)
        elif known is not None and not events:
            self._selector.unregister(connection.sock)
        elif known is not None and known.events != events:
            self._selector.modify(connection.sock, events, connection.ready)

    # -- the thread

    def _listen(self, door: str) -> int:
        sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        sock.settimeout(0)
        self._listening.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, lambda _: self._accept(sock, door))
        port: int = sock.getsockname()[1]
        return port

    def _accept(self, listening: socket.socket, door: str) -> None:
        sock, _ = listening.accept()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self, sock, door, next(self._numbers))
        self._connections.append(connection)
        connection.watch()

    def _run(self) -> None:
        while self._is_running:
            self._serve(self._selector.select())
            while events := self._selector.select(0):
                self._serve(events)
            settled, self._settling = self._settling, []
            for done in settled:
                done.set()
        for sock in (self._wake_in, *self._listening, *(connection.sock for connection in self._connections)):
            sock.close()
        self._selector.close()

    def _serve(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        with self._changed:
            for key, mask in events:
                key.data(mask)
            self._changed.notify_all()

    def _do(self, command: Callable[[], None]) -> None:
        """Have the thread do it, before it serves anything that comes later."""
        self._commands.append(command)
        self._wake_out.send(b".")

    def _woken(self, _: int) -> None:
        self._wake_in.recv(1)
        self._commands.popleft()()

    def _set_paused(self, *, value: bool) -> None:
        self.is_paused = value
        for connection in self._connections:
            connection.watch()

    def _reset(self, done: threading.Event) -> None:
        self._set_paused(value=False)  # a test may have failed in a pause
        for connection in list(self._connections):
            if connection.request is not None and not (connection.reader.is_complete and connection.is_answered):
                connection.close()
        for forgotten in (self.begun, self.complete, self.cut, self.abandoned, self.violations):
            forgotten.clear()
        self._scripts.clear()
        self._last = None
        self.frames = []
        self.is_tunnel_closed = False
        self.reserved_bits = 0
        done.set()

    def _stop(self) -> None:
        self._is_running = False
