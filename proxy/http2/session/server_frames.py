"""The frames of a server that are about the connection, and what its SETTINGS allow us. Pure."""

from typing import Final

from proxy.http2.session.connection_frames import ConnectionFrames
from proxy.http2.session.parts import SessionParts
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.frames import Setting

_NO_LIMIT: Final = 0xFFFF_FFFF


class ServerFrames(ConnectionFrames):
    """Reads frames of a server that carry no part of a response.

    SETTINGS_MAX_FRAME_SIZE needs nothing: our frames have the least size that it may allow.
    """

    def __init__(self, parts: SessionParts) -> None:
        super().__init__(parts)
        self.most_streams = _NO_LIMIT
        """SETTINGS_MAX_CONCURRENT_STREAMS."""
        self.most_fields_bytes = _NO_LIMIT
        """SETTINGS_MAX_HEADER_LIST_SIZE."""
        self.takes_websockets = False
        """SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3)."""

    def _obey(self, identifier: int, value: int) -> None:
        if identifier == Setting.MAX_CONCURRENT_STREAMS:
            self.most_streams = value
        elif identifier == Setting.MAX_HEADER_LIST_SIZE:
            self.most_fields_bytes = value
        elif identifier == Setting.ENABLE_PUSH and value != 0:  # RFC 9113 6.5.2
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "server allows itself to be pushed to")
        elif identifier == Setting.ENABLE_CONNECT_PROTOCOL:
            if self.takes_websockets and value == 0:  # RFC 8441 section 3
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "server takes back that it takes extended CONNECT")
            self.takes_websockets = value == 1
        else:
            super()._obey(identifier, value)

    def priority_update(self, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9218 7.1: only clients send it."""
        del number, data, start, end
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "server sent PRIORITY_UPDATE")
