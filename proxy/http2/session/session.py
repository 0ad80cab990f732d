"""What both sides of an HTTP/2 connection do alike: bytes in, events out, and back. Pure."""

from typing import Final

from proxy.http2.session.connection_frames import ConnectionFrames
from proxy.http2.session.events import ConnectionFailed, SessionEvent
from proxy.http2.session.parts import SessionParts
from proxy.http2.session.reading import FrameReader
from proxy.http2.session.stream_frames import StreamFrames
from proxy.http2.streams.states import LOCAL, LOCAL_OPEN
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire import frames
from proxy.http2.wire.errors import ConnectionFault


class Http2Session:
    """`has_failed` once the session has ended for a fault."""

    def __init__(
        self,
        parts: SessionParts,
        streams: StreamFrames,
        connection: ConnectionFrames,
        announcement: bytes,
        preface: bytes,
    ) -> None:
        """`data_to_send` has our SETTINGS, the `announcement`, at once.

        `preface` is what the peer sends before its first frame: nothing if it is a server.
        """
        self._table: Final = parts.table
        self._outbox: Final = parts.outbox
        self._streams: Final = streams
        self._connection: Final = connection
        self._reader: Final = FrameReader(streams, connection, preface)
        self._fault: ConnectionFault | None = None
        self.has_failed = False
        self._outbox.add_frame(announcement)
        if parts.received.first_credit > 0:
            self._outbox.add_frame(frames.window_update(0, parts.received.first_credit))

    def receive_data(self, data: bytes) -> list[SessionEvent]:
        """Read what the peer sent; never raises.

        After a fault of the connection the last event is ConnectionFailed, GOAWAY waits to be sent,
        and further input is ignored.
        """
        if self.has_failed:
            return []
        try:
            if self._fault is not None:
                raise self._fault
            self._reader.receive_data(data)
        except ConnectionFault as fault:
            self.fail(fault.code)
            self._streams.events.append(ConnectionFailed(fault.code, fault.reason))
        # the events hold the streams that they are about: 0.6 KB of an idle connection
        events, self._streams.events = self._streams.events, []
        return events

    def expects(self, stream: SessionStream, length: int) -> bool:
        """The peer announced a body of `length` bytes (its content-length, or 0 where it has none).

        False if what has arrived differs already: then the message is malformed (RFC 9113 8.1.1).
        From now on the session watches: a body that becomes longer or ends shorter resets the
        stream with PROTOCOL_ERROR.
        """
        stream.expected_bytes = length
        received = stream.received_bytes
        return received == length if stream.is_remote_ended else received <= length

    def consumed(self, stream: SessionStream, count: int) -> None:
        """`count` bytes of the body were handed on: the peer may send as many more."""
        self._outbox.consumed(stream, count)

    def send_data(self, stream: SessionStream, data: bytes | memoryview) -> None:
        """Queue bytes of the body, cut into frames when they are fetched.

        If `stream.is_blocked` afterwards, wait until `take_unblocked` gives the stream. Call
        `own_pieces` before a view shows something else.
        """
        if stream.state & LOCAL == LOCAL_OPEN:
            self._outbox.add_data(stream, data)

    def fail_later(self, fault: ConnectionFault) -> None:
        """Fail by a fault that was found outside `receive_data`, which can tell it."""
        self._fault = fault

    @property
    def last_taken(self) -> int:
        """The highest stream of the peer that was taken up; 0 if none was."""
        return self._table.last_taken

    def fail(self, code: int) -> None:
        """End the session for a fault that the driver found; GOAWAY waits to be sent.

        No event follows: every stream is closed.
        """
        if self.has_failed:
            return
        self.has_failed = True
        self._outbox.cut_all()
        self._outbox.add_frame(frames.go_away(self.last_taken, code))

    @property
    def settings_acked(self) -> bool:
        """Whether the peer has acknowledged our SETTINGS.

        The driver ends a connection that takes longer than `SessionLimits.settings_seconds` by
        `fail` with SETTINGS_TIMEOUT.
        """
        return self._connection.settings_acked

    def take_unblocked(self) -> list[SessionStream]:
        """The streams whose `is_blocked` has ended since the last call, as data was fetched."""
        return self._outbox.take_unblocked()

    def data_to_send(self, room: int) -> bytes:
        """What to write now: about `room` bytes at most, empty if there is nothing.

        All frames without body come first, even beyond the room. Then bodies, the most urgent
        streams first, and those with the same urgency in turns, as far as windows allow.
        """
        return self._outbox.data_to_send(room)
