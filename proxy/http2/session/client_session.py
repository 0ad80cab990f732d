"""The client's side of one HTTP/2 connection to a server: requests in, bytes out, and back. Pure.

Theory of operation. As `server_session`, with the roles changed: `open` begins a request, and the
events of `receive_data` are the server's response to it. The parts that read and write frames are
the same, so a server is held to the same rules and budgets as a client.

The window of the connection should be as wide as those of all streams together. Then a response
that is not taken delays no other one.
"""

from collections.abc import Callable, Iterable
from typing import Final

from proxy.http.head import Header
from proxy.http2.hpack.never_indexed import NO_NAMES
from proxy.http2.hpack.static_table import ENTRY_BYTES
from proxy.http2.session.events import ConnectionFailed, SessionEvent
from proxy.http2.session.reading import FrameReader
from proxy.http2.session.response_frames import ResponseFrames
from proxy.http2.session.server_frames import ServerFrames
from proxy.http2.streams.flow import ReceiveWindow, StreamWindows
from proxy.http2.streams.outbox import Outbox
from proxy.http2.streams.states import AWAITING_HEAD, DONE, END, ENDING, LOCAL, LOCAL_OPEN
from proxy.http2.streams.stream import SessionStream
from proxy.http2.streams.stream_table import StreamTable
from proxy.http2.wire import frames, settings
from proxy.http2.wire.errors import ConnectionFault
from proxy.http2.wire.floods import FloodBudgets
from proxy.http2.wire.frames import LAST_STREAM, PREFACE
from proxy.http2.wire.limits import SessionLimits


class ClientSession:
    """One connection to a server. `has_failed` once the session has ended for a fault."""

    def __init__(self, limits: SessionLimits, clock: Callable[[], float]) -> None:
        """`data_to_send` has the preface and our SETTINGS at once.

        `limits.streams` bounds the requests that are in flight, beside what the server allows.
        """
        budgets = FloodBudgets(limits, clock)
        table = StreamTable(limits, is_server=False)
        received = ReceiveWindow(limits.connection_window_bytes, limits.stream_window_bytes)
        windows = StreamWindows(limits, clock)
        outbox = Outbox(table, budgets, received, windows)
        self._limit: Final = limits.streams
        self._table: Final = table
        self._outbox: Final = outbox
        self._streams: Final = ResponseFrames(limits, table, budgets, received, windows, outbox)
        self._connection: Final = ServerFrames(table, budgets, windows, outbox, clock)
        self._reader: Final = FrameReader(self._streams, self._connection, preface=b"")
        self._is_leaving = False
        self.has_failed = False
        outbox.add_frame(PREFACE)
        outbox.add_frame(settings.client_announcement(limits))
        if received.first_credit > 0:
            outbox.add_frame(frames.window_update(0, received.first_credit))

    # -- what the server allows

    @property
    def has_settings(self) -> bool:
        """Whether the server's SETTINGS came: before, nothing is known of its limits."""
        return self._connection.has_peer_settings

    @property
    def settings_acked(self) -> bool:
        """Whether the server has acknowledged our SETTINGS."""
        return self._connection.settings_acked

    @property
    def most_streams(self) -> int:
        """How many requests may be in flight at once."""
        return min(self._limit, self._connection.most_streams)

    @property
    def takes_websockets(self) -> bool:
        """Whether the server takes an extended CONNECT (RFC 8441)."""
        return self._connection.takes_websockets

    @property
    def is_going_away(self) -> bool:
        """Whether no request may begin any more: from `go_away` or the server's GOAWAY on."""
        return self._is_leaving or self._connection.is_peer_leaving

    @property
    def may_open(self) -> bool:
        return (
            not (self.has_failed or self.is_going_away)
            and self._table.open < self.most_streams
            and self._table.last_seen < LAST_STREAM - 2
        )

    def takes(self, fields: Iterable[Header]) -> bool:
        """Whether the server takes a head of this size (RFC 9113 6.5.2)."""
        most = self._connection.most_fields_bytes
        return sum([len(name) + len(value) + ENTRY_BYTES for name, value in fields]) <= most

    # -- requests

    def open(self, fields: list[Header], never_indexed: frozenset[bytes] = NO_NAMES, *, ends: bool) -> SessionStream:
        """Begin a request; `may_open` says so. `ends` if no body follows."""
        table = self._table
        number = table.last_seen + 2 if table.last_seen else 1
        table.see(number)
        stream = table.take_up(number, AWAITING_HEAD | ENDING if ends else AWAITING_HEAD)
        stream.never_indexed = never_indexed
        self._outbox.add_head(stream, [fields], ends=ends)
        return stream

    def send_data(self, stream: SessionStream, data: bytes) -> None:
        """Queue bytes of the body.

        If `stream.is_blocked` afterwards, wait until `take_unblocked` gives the stream.
        """
        if stream.state & LOCAL == LOCAL_OPEN:
            self._outbox.add_data(stream, data)

    def send_end(self, stream: SessionStream) -> None:
        if stream.on(END) == DONE:
            self._outbox.add_end(stream)

    def reset(self, stream: SessionStream, code: int) -> None:
        """End the stream at once; what waits for it is dropped."""
        if not stream.is_closed:
            self._outbox.reset(stream, code)

    # -- responses

    def receive_data(self, data: bytes) -> list[SessionEvent]:
        """Read what the server sent; never raises.

        After a fault of the connection the last event is ConnectionFailed, GOAWAY waits to be sent,
        and further input is ignored.
        """
        events: list[SessionEvent] = []
        if self.has_failed:
            return events
        self._streams.events = events
        try:
            self._reader.receive_data(data)
        except ConnectionFault as fault:
            self.fail(fault.code)
            events.append(ConnectionFailed(fault.code, fault.reason))
        return events

    def expects(self, stream: SessionStream, length: int) -> bool:
        """The response has a body of `length` bytes (its content-length, or 0 where it has none).

        False if what has arrived differs already (RFC 9113 8.1.1). From now on the session watches:
        a body that becomes longer or ends shorter resets the stream with PROTOCOL_ERROR.
        """
        stream.expected_bytes = length
        received = stream.received_bytes
        return received == length if stream.is_remote_ended else received <= length

    def consumed(self, stream: SessionStream, count: int) -> None:
        """`count` bytes of the body were handed on: the server may send as many more."""
        self._outbox.consumed(stream, count)

    # -- the connection

    def go_away(self) -> None:
        """Begin no more requests, and say so; those that are in flight continue."""
        if not (self.has_failed or self._is_leaving):
            self._is_leaving = True
            self._outbox.add_frame(frames.go_away(0, 0))  # a server opens no streams: none was taken up

    def fail(self, code: int) -> None:
        """End the session for a fault that the driver found; GOAWAY waits to be sent.

        No event follows: every stream is closed.
        """
        if self.has_failed:
            return
        self.has_failed = True
        self._outbox.cut_all()
        self._outbox.add_frame(frames.go_away(0, code))

    def take_unblocked(self) -> list[SessionStream]:
        """The streams whose `is_blocked` has ended since the last call, as data was fetched."""
        return self._outbox.take_unblocked()

    def data_to_send(self, room: int) -> bytes:
        """What to write now: about `room` bytes at most, empty if there is nothing.

        Heads and control frames first, then bodies in turns, as far as windows allow.
        """
        return self._outbox.data_to_send(room)
