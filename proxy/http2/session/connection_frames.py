"""The frames of a peer that are about the connection, or advice about a stream. Pure.

SETTINGS, PING, GOAWAY, WINDOW_UPDATE, PRIORITY, PRIORITY_UPDATE, and unknown frames.
"""

from typing import Final

from proxy.http2.session.parts import SessionParts
from proxy.http2.streams.priorities import parsed_priority
from proxy.http2.wire import frames, settings
from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault
from proxy.http2.wire.frames import LAST_STREAM, Flag, Setting
from proxy.http2.wire.settings import LARGEST_WINDOW, MOST_SETTINGS

_SETTING_BYTES: Final = 6
_PRIORITY_BYTES: Final = 5
_PING_BYTES: Final = 8
_GOAWAY_BYTES: Final = 8


class ConnectionFrames:
    """Reads frames that carry no part of a request or response.

    Every method raises ConnectionFault; `window_update` also StreamFault.
    """

    def __init__(self, parts: SessionParts) -> None:
        self._table: Final = parts.table
        self._budgets: Final = parts.budgets
        self._windows: Final = parts.windows
        self._outbox: Final = parts.outbox
        self._clock: Final = parts.clock
        self._announced_at: Final = parts.clock()
        self.settings_acked = False
        self.has_peer_settings = False
        self.is_peer_leaving = False

    def settings(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.5."""
        if number != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS for a stream")
        self._budgets.settings_frame()
        if flags & Flag.ACK:
            self._acknowledged(end - start)
            return
        if (end - start) % _SETTING_BYTES != 0:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS end within a setting")
        if end - start > MOST_SETTINGS * _SETTING_BYTES:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many settings in one frame")
        self.has_peer_settings = True
        while start < end:
            identifier = data[start] << 8 | data[start + 1]
            value = int.from_bytes(data[start + 2 : start + 6], "big")
            settings.judge(identifier, value)
            self._obey(identifier, value)
            start += _SETTING_BYTES
        self._budgets.answer_frame()
        self._outbox.add_frame(frames.SETTINGS_ACK)

    def _acknowledged(self, size: int) -> None:
        if size != 0:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "acknowledgement of SETTINGS with content")
        if self.settings_acked:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "acknowledgement of SETTINGS that were not sent")
        self.settings_acked = True
        self._windows.acknowledged(self._clock() - self._announced_at)

    def _obey(self, identifier: int, value: int) -> None:
        if identifier == Setting.HEADER_TABLE_SIZE:
            self._outbox.encoder.peer_table_bytes(value)
        elif identifier == Setting.INITIAL_WINDOW_SIZE:
            self._budgets.settings_frame()  # it walks over all streams, as often as it is in one frame
            difference = value - self._table.peer_window
            self._table.peer_window = value
            for stream in self._table.streams.values():
                if stream.send_window + difference > LARGEST_WINDOW:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "window of a stream above 2^31-1")
                self._outbox.widen(stream, difference)

    def ping(self, flags: int, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.7."""
        if number != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING for a stream")
        if end - start != _PING_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is not 8 bytes long")
        self._budgets.pings.spend(1)
        if flags & Flag.ACK == 0:
            self._budgets.answer_frame()
            self._outbox.add_frame(frames.ping_ack(data[start:end]))

    def go_away(self, number: int, start: int, end: int) -> None:
        """RFC 9113 6.8."""
        if number != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY for a stream")
        if end - start < _GOAWAY_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        self._budgets.unknown.spend(1)
        self.is_peer_leaving = True

    def window_update(self, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9113 6.9."""
        if end - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 bytes long")
        self._budgets.window_updates.spend(1)
        increment = int.from_bytes(data[start:end], "big") & LAST_STREAM
        if number == 0:
            self._widen_connection(increment)
            return
        stream = self._table.streams.get(number)
        if stream is None:
            if self._table.is_idle(number):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE for an idle stream")
            return  # RFC 9113 5.1: the client may not know yet that the stream is closed
        if increment == 0:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if stream.send_window + increment > LARGEST_WINDOW:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "window of a stream above 2^31-1")
        self._outbox.widen(stream, increment)

    def _widen_connection(self, increment: int) -> None:
        if increment == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 for the connection")
        self._outbox.window += increment
        if self._outbox.window > LARGEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "window of the connection above 2^31-1")

    def priority(self, number: int, start: int, end: int) -> None:
        """RFC 9113 6.3: advice of an earlier time, ignored."""
        if number == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY for stream 0")
        if end - start != _PRIORITY_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not 5 bytes long")
        self._budgets.priorities.spend(1)

    def priority_update(self, number: int, data: bytes, start: int, end: int) -> None:
        """RFC 9218 7.1: the priority of a stream, which may open later."""
        if number != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY_UPDATE for a stream")
        if end - start < 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY_UPDATE is too short")
        self._budgets.priorities.spend(1)
        prioritized = int.from_bytes(data[start : start + 4], "big") & LAST_STREAM
        if prioritized & 1 == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY_UPDATE about no stream of the client")
        priority = parsed_priority(data[start + 4 : end])
        if priority is None:
            return
        stream = self._table.streams.get(prioritized)
        if stream is not None:
            stream.is_prioritized_by_frame = True
            self._outbox.prioritize(stream, priority)
        else:
            self._table.keep_priority(prioritized, priority)

    def unknown(self) -> None:
        """RFC 9113 4.1: ignored."""
        self._budgets.unknown.spend(1)
