"""A server that speaks HTTP/2 by python-hyper: it tells its name, holds requests back, and echoes WebSockets (RFC 8441)."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.hostile.strict_frames import CLOSE, FrameReader
from tests.integration.upstreams import Peer, scripted
from tests.waiting import until_found

_CODES = h2.settings.SettingCodes


@dataclass
class _Held:
    """A request that has no answer yet."""

    connection: "_Connection"
    stream: int
    path: str


class Http2Backend:
    """It answers `/.../held` when the test says so, everything else with `status` at once."""

    def __init__(self, name: str, streams: int, *, takes_websockets: bool) -> None:
        self.name = name
        self.url = ""
        self.status = "200"
        self.requests = 0
        self.connections = 0
        self.sockets = 0
        """Open WebSockets."""
        self.heads: list[dict[str, str]] = []
        """Of WebSockets."""
        self.settings = {_CODES.MAX_CONCURRENT_STREAMS: streams}
        if takes_websockets:
            self.settings[_CODES.ENABLE_CONNECT_PROTOCOL] = 1
        self.lock = threading.RLock()
        self.held: list[_Held] = []

    def play(self, peer: Peer) -> None:
        """Serve a connection."""
        self.connections += 1
        with contextlib.suppress(OSError, EOFError):
            _Connection(self, peer).serve()

    def hold(self, one: _Held) -> None:
        """Keep a request."""
        self.held.append(one)

    def await_held(self, count: int) -> list[str]:
        """Wait until so many requests are held; gives their paths."""
        until_found(lambda: len(self.held) >= count or None)
        return [one.path for one in self.held]

    def answer_held(self) -> None:
        """Answer all of them."""
        with self.lock:
            held, self.held = self.held, []
            for one in held:
                one.connection.answer(one.stream)

    def take_requests(self) -> int:
        """How many came since the last look."""
        count, self.requests = self.requests, 0
        return count


@dataclass
class _Socket:
    """A WebSocket."""

    reader: FrameReader = field(default_factory=lambda: FrameReader(is_masked=True))


class _Connection:
    """One connection from the proxy."""

    def __init__(self, backend: Http2Backend, peer: Peer) -> None:
        self._backend = backend
        self._peer = peer
        self._h2: Any = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._h2.local_settings = h2.settings.Settings(client=False, initial_values=backend.settings)
        self._sockets: dict[int, _Socket] = {}
        self._acts: dict[type[Any], Callable[[Any], None]] = {
            h2.events.RequestReceived: self._requested,
            h2.events.DataReceived: self._received,
            h2.events.StreamEnded: self._over,
            h2.events.StreamReset: self._over,
        }

    def serve(self) -> None:
        """Until the proxy ends it."""
        self._h2.initiate_connection()
        self._flush()
        try:
            while data := self._peer.read_some():
                with self._backend.lock:
                    for event in self._h2.receive_data(data):
                        self._acts.get(type(event), lambda _: None)(event)
                    self._flush()
        finally:
            self._backend.sockets -= len(self._sockets)

    def _flush(self) -> None:
        self._peer.send(self._h2.data_to_send())

    def _requested(self, event: h2.events.RequestReceived) -> None:
        head = {str(name): str(value) for name, value in event.headers}
        stream = event.stream_id
        if head[":method"] == "CONNECT":
            self._sockets[stream] = _Socket()
            self._backend.sockets += 1
            self._backend.heads.append(head)
            self._h2.send_headers(stream, [(":status", "200")])
            return
        self._backend.requests += 1
        if head[":path"].endswith("/held"):
            self._backend.hold(_Held(self, stream, head[":path"]))
        else:
            self.answer(stream)

    def answer(self, stream: int) -> None:
        """Answer with its name."""
        self._h2.send_headers(stream, [(":status", self._backend.status)])
        self._h2.send_data(stream, self._backend.name.encode(), end_stream=True)
        self._flush()

    def _received(self, event: h2.events.DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        socket = self._sockets.get(event.stream_id)
        if socket is None:
            return
        socket.reader.feed(event.data)
        frames = list(socket.reader.frames)
        socket.reader.frames.clear()
        for one in frames:
            data = bytes((one.first, len(one.payload))) + one.payload
            self._h2.send_data(event.stream_id, data, end_stream=one.opcode == CLOSE)

    def _over(self, event: Any) -> None:
        if self._sockets.pop(event.stream_id, None) is not None:
            self._backend.sockets -= 1


@contextmanager
def http2_backends(count: int, *, streams: int = 100, takes_websockets: bool = True) -> Iterator[list[Http2Backend]]:
    """Run some."""
    with ExitStack() as stack:
        made = [
            Http2Backend(f"backend {number}", streams, takes_websockets=takes_websockets) for number in range(count)
        ]
        for one in made:
            one.url = stack.enter_context(scripted(one.play)).url
        yield made
