"""A session of ours with a server, whose frames a test writes."""

from typing import Final

from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.events import ConnectionFailed, SessionEvent, StreamReset
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.frames import PREFACE, FrameType
from proxy.http2.wire.limits import SessionLimits
from tests.http2_frames import GET, H2_LIMITS, ROOM, SETTINGS, SETTINGS_ACK, Clock, Sent, cut

SERVER_HELLO: Final = SETTINGS + SETTINGS_ACK


class ClientWire:
    """A session whose server has sent its SETTINGS, unless `hello` says otherwise."""

    def __init__(self, limits: SessionLimits = H2_LIMITS, hello: bytes = SERVER_HELLO) -> None:
        self.clock = Clock()
        self.session = ClientSession(limits, self.clock)
        self.begin = self.session.data_to_send(ROOM)
        assert self.begin.startswith(PREFACE)
        self.receive(hello)
        self.sent()

    def receive(self, data: bytes) -> list[SessionEvent]:
        """The server sends."""
        return self.session.receive_data(data)

    def sent(self, room: int = ROOM) -> list[Sent]:
        """What we send now."""
        return cut(self.session.data_to_send(room))

    def request(self, *, ends: bool = True) -> SessionStream:
        """A stream that we have opened."""
        stream = self.session.open(GET, ends=ends)
        self.sent()
        return stream

    def failure(self, data: bytes) -> tuple[int, str]:
        """The fault that ends the connection: its code and its reason."""
        event = self.receive(data)[-1]
        assert isinstance(event, ConnectionFailed), event
        assert self.session.has_failed
        last = self.sent()[-1]
        assert (last.kind, last.number) == (FrameType.GOAWAY, event.code)
        assert self.receive(data) == []
        return event.code, event.reason

    def reset(self, data: bytes) -> tuple[int, str]:
        """The fault that ends one stream."""
        event = self.receive(data)[-1]
        assert isinstance(event, StreamReset), event
        assert event.stream.is_closed
        assert [(one.stream, one.number) for one in self.sent() if one.kind == FrameType.RST_STREAM] == [
            (event.stream.id, event.code)
        ]
        return event.code, event.reason
