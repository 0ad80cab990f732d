"""HEADERS of a client: new requests and their trailers (RFC 9113 5.1.1, 5.1.2, 8.1). Pure."""

from typing import Final

from proxy.http2.fields.field_rules import trailer_fault
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.session.events import RequestReceived
from proxy.http2.session.parts import SessionParts
from proxy.http2.session.stream_frames import StreamFrames
from proxy.http2.streams.states import DROPPED, HEADERS_CAME, OPEN, REMOTE_ENDED
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ConnectionFault, ErrorCode
from proxy.http2.wire.frames import rst_stream

# Such a list costs the work of a long block, and asks for nothing.
_LARGE_LIST_COST: Final = 2


class RequestFrames(StreamFrames):
    """Reads the frames of a client's streams."""

    def __init__(self, parts: SessionParts) -> None:
        super().__init__(parts)
        self.last_served = -1
        """Streams above it are refused, from the final GOAWAY on; -1 before."""
        self.refused_streams = 0

    def _first_headers(self, number: int, decoded: DecodedFields, *, ends: bool) -> None:
        if number & 1 == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "client opened an even stream")
        self._table.see(number)
        if self._table.is_full or 0 <= self.last_served < number:
            self._refuse(number, ends=ends)
            return
        stream = self._table.take_up(number, REMOTE_ENDED if ends else OPEN)
        self._budgets.stream_opened()
        self.events.append(RequestReceived(stream, decoded, is_ended=ends))
        if decoded.is_too_large:
            self._budgets.provoked.spend(_LARGE_LIST_COST)

    def _refuse(self, number: int, *, ends: bool) -> None:
        """RFC 9113 5.1.2, 8.7: the client may send the request again."""
        self.refused_streams += 1
        self._budgets.refused.spend(1)
        self._budgets.answer_frame()
        self._outbox.add_frame(rst_stream(number, ErrorCode.REFUSED_STREAM))
        if not ends:
            self._table.remember(number, self._table.first_window)

    def _next_headers(self, stream: SessionStream, decoded: DecodedFields, *, ends: bool) -> None:
        effect = stream.on(HEADERS_CAME)
        if effect == DROPPED and (fault := trailer_fault(decoded)) is not None:
            raise fault  # the driver does not judge them: it has answered
        self._trailers(stream, effect, decoded, ends=ends)
