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
from proxy.http2.session.parts import SessionParts
from proxy.http2.session.response_frames import ResponseFrames
from proxy.http2.session.server_frames import ServerFrames
from proxy.http2.session.session import Http2Session
from proxy.http2.streams.states import AWAITING_HEAD, DONE, END, ENDING
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire import frames, settings
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import LAST_STREAM, PREFACE
from proxy.http2.wire.limits import SessionLimits


class ClientSession(Http2Session):
    """One connection to a server."""

    def __init__(self, limits: SessionLimits, clock: Callable[[], float]) -> None:
        """`limits.streams` bounds the requests in flight, beside what the server allows."""
        parts = SessionParts(limits, clock, is_server=False)
        self._limit: Final = limits.streams
        self._server: Final = ServerFrames(parts)
        self._is_leaving = False
        parts.outbox.add_frame(PREFACE)
        super().__init__(parts, ResponseFrames(parts), self._server, settings.client_announcement(limits), b"")

    # -- what the server allows

    @property
    def has_settings(self) -> bool:
        """Whether the server's SETTINGS came: before, nothing is known of its limits."""
        return self._server.has_peer_settings

    @property
    def most_streams(self) -> int:
        """How many requests may be in flight at once."""
        return min(self._limit, self._server.most_streams)

    @property
    def takes_websockets(self) -> bool:
        """Whether the server takes an extended CONNECT (RFC 8441)."""
        return self._server.takes_websockets

    @property
    def is_going_away(self) -> bool:
        """Whether no request may begin any more: from `go_away` or the server's GOAWAY on."""
        return self._is_leaving or self._server.is_peer_leaving

    @property
    def may_open(self) -> bool:
        return (
            not (self.has_failed or self.is_going_away)
            and self._table.open < self.most_streams
            and self._table.last_seen < LAST_STREAM - 2
        )

    def takes(self, fields: Iterable[Header]) -> bool:
        """Whether the server takes a head of this size (RFC 9113 6.5.2)."""
        most = self._server.most_fields_bytes
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

    def send_end(self, stream: SessionStream) -> None:
        if stream.on(END) == DONE:
            self._outbox.add_end(stream)

    def reset(self, stream: SessionStream, code: int) -> None:
        """End the stream at once; what waits for it is dropped."""
        if not stream.is_closed:
            self._outbox.reset(stream, code)

    # -- the connection

    @property
    def last_taken(self) -> int:
        return 0  # a server opens no streams

    def go_away(self) -> None:
        """Begin no more requests, and say so; those that are in flight continue."""
        if not (self.has_failed or self._is_leaving):
            self._is_leaving = True
            self._outbox.add_frame(frames.go_away(self.last_taken, ErrorCode.NO_ERROR))
