"""The requests of one HTTP/2 connection, read with a memory of the last one. Pure.

`requests.request` says why there is a memory, and why it belongs to one connection.
"""

import secrets
from typing import Final

from proxy.downstream.requests.request import Request
from proxy.http.framing import RequestFraming
from proxy.http.head import Header, HeadLimits, MalformedMessage
from proxy.http2.fields.request_fields import RequestFieldReader
from proxy.http2.hpack.decoder import DecodedFields
from proxy.http2.hpack.never_indexed import with_copies

_NONCE_BYTES: Final = 16
_TOO_LARGE: Final = 431


def _new_nonce() -> bytes:
    return secrets.token_bytes(_NONCE_BYTES)


def _priority(framing: RequestFraming) -> bytes:
    """The value of the priority field (RFC 9218 section 5); empty if there is none."""
    for line in framing.fields.sent:
        if not line.is_ordinary and line.line.startswith(b"priority: "):
            value: bytes = line.header[1]
            return value
    return b""


class StreamRequests:
    """Reads the decoded fields of requests."""

    def __init__(self) -> None:
        self._reader: Final = RequestFieldReader(_new_nonce)
        self._block: DecodedFields | None = None
        self._limits: HeadLimits | None = None
        self._is_ended = False
        self._request: Request | None = None
        self.priority = b""
        """The priority field of the request that was read last."""

    def read(self, block: DecodedFields, limits: HeadLimits, *, is_ended: bool) -> Request:
        """Judge a request; `is_ended` says that no body follows.

        A decoder gives the same object for a block that repeats the last one, so this one is not
        judged again. Raises StreamFault or MalformedMessage.
        """
        if block.is_too_large:
            raise MalformedMessage(_TOO_LARGE, "too many header fields, or too large ones")
        last = self._request
        if last is not None and block is self._block and is_ended is self._is_ended and limits is self._limits:
            return last
        marked = block.never_indexed
        if marked:
            marked = with_copies(marked)
        read = self._reader.read(block.fields, limits, marked, is_ended=is_ended)
        if last is not None and not last.framing.is_judged_by(read.framing.fields):
            last = None
        if last is None or read.framing.fields is not last.framing.fields:
            self.priority = _priority(read.framing)
        request = Request(b"", 0, read.head, read.framing, last)
        self._request = None if read.section is None else request
        self._block = block
        self._limits = limits
        self._is_ended = is_ended
        return request


def start_of(fields: list[Header]) -> bytes:
    """The beginning that a request with these fields would have in HTTP/1.1, for `glimpse`."""
    told = dict(fields)
    words = (told.get(b":method", b""), told.get(b":path", b""), told.get(b":authority", b""))
    return b"%b %b HTTP/2\r\nhost: %b\r\n" % words
