"""HEADERS of a server: interim responses, responses and their trailers (RFC 9113 8.1). Pure."""

from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.session.events import ResponseReceived, StreamReset
from proxy.http2.session.stream_frames import StreamFrames
from proxy.http2.streams.states import DONE, HEADERS_CAME, INTERIM_CAME
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault


class ResponseFrames(StreamFrames):
    """Reads the frames of the streams that we opened.

    What a server may cost us is bounded by the streams that we open: it can reset each once.
    """

    def _first_headers(self, number: int, decoded: DecodedFields, *, ends: bool) -> None:
        del number, decoded, ends
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS for an idle stream")

    def _next_headers(self, stream: SessionStream, decoded: DecodedFields, *, ends: bool) -> None:
        is_interim = _is_interim(decoded)
        effect = stream.on(INTERIM_CAME if is_interim else HEADERS_CAME)
        if effect != DONE:
            self._trailers(stream, effect, decoded, ends=ends)
            return
        if is_interim and ends:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "interim response that ends its stream")
        if not is_interim:
            self._budgets.stream_opened()
            if ends:
                self._end(stream)
        self.events.append(ResponseReceived(stream, decoded, is_interim=is_interim, is_ended=ends))

    def peer_leaves(self, last_stream: int, code: int) -> None:
        """As `StreamFrames` says. The later streams end as if the server had refused them."""
        super().peer_leaves(last_stream, code)
        for stream in [one for one in self._table.streams.values() if one.id > last_stream]:
            self._outbox.cut(stream)
            self.events.append(StreamReset(stream, ErrorCode.REFUSED_STREAM, ""))


def _is_interim(decoded: DecodedFields) -> bool:
    """Whether a head says 1xx. One that is malformed counts as final: its reader refuses it."""
    if not decoded.fields:
        return False
    name, value = decoded.fields[0]
    return name == b":status" and len(value) == 3 and value.startswith(b"1")
