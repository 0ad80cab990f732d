"""Keeps the bytes of a client that are not used yet, and cuts complete heads from them. Pure."""

from typing import Final, Protocol

from proxy.downstream.requests.request import Request, RequestReader
from proxy.http.head import HeadLimits, MalformedMessage

_HEAD_END: Final = b"\r\n\r\n"
_EMPTY_LINE: Final = b"\r\n"
# RFC 9112 section 2.2: an empty line before a request line is ignored, two as well, a third is not
_EMPTY_LINES: Final = 2


class Readable(Protocol):
    """The stream of a client, as far as it is read."""

    def pause_reading(self) -> None:
        """Deliver nothing more for now."""

    def resume_reading(self) -> None:
        """Deliver what the client sends."""


class Inbox:
    """The bytes in their order, whether more are read, and the memory of the last request.

    The work is linear in the bytes: each is searched once for the end of a head.
    """

    def __init__(self, stream: Readable) -> None:
        """`stream` is the client's, which is reading."""
        self._stream: Final = stream
        self.is_reading = True
        """Whether the stream delivers what the client sends; else it waits in the kernel."""
        self.data = b""
        """The bytes that were not taken; only this class changes them."""
        self._scanned = 0
        self._empty_lines = 0
        self._reader = RequestReader()

    @property
    def holds_a_beginning(self) -> bool:
        """Whether a request has begun: there is more than the empty lines before it."""
        return self.data not in (b"", b"\r")

    def receive_data(self, data: bytes) -> None:
        self.data = self.data + data if self.data else data

    def hold(self, data: bytes, most: int) -> None:
        """Keep pipelined bytes. Above `most` bytes reading pauses: the rest waits in the kernel."""
        self.receive_data(data)
        if len(self.data) > most:
            self.pause()

    def pause(self) -> None:
        """Read no more for now."""
        if self.is_reading:
            self.is_reading = False
            self._stream.pause_reading()

    def resume(self) -> None:
        if not self.is_reading:
            self.is_reading = True
            self._stream.resume_reading()

    def take(self) -> bytes:
        """Return all bytes: they belong to a body or to a tunnel."""
        data, self.data, self._scanned = self.data, b"", 0
        return data

    def next_request(self, head_bytes: int, limits: HeadLimits) -> Request | None:
        """Cut out and read the next head; None while it is not complete.

        Raises `MalformedMessage`: 414 or 431 for a head longer than `head_bytes` without its last
        line end, and what the reader raises. Then the head is kept for the log, and the bytes
        behind it mean nothing.
        """
        data = self.data
        while data.startswith(_EMPTY_LINE) and self._empty_lines < _EMPTY_LINES:
            self._empty_lines += 1
            data = self.data = data[len(_EMPTY_LINE) :]
            self._scanned = 0
        end = data.find(_HEAD_END, self._scanned)
        # the line end may be incomplete, but an end within the limit would have been found
        if end > head_bytes or (end < 0 and len(data) > head_bytes + len(_HEAD_END) - 1):
            # RFC 9110 section 15.5.15: not even the first line has an end
            is_line = data.find(_EMPTY_LINE, 0, head_bytes) < 0
            raise MalformedMessage(414 if is_line else 431, "the request head is too long")
        if end < 0:
            self._refuse_bare_line_feeds(data)
            self._scanned = max(0, len(data) - len(_HEAD_END) + 1)
            return None
        border = end + len(_HEAD_END)
        head = data[:border]
        self.data = data[border:]
        self._scanned = 0
        self._empty_lines = 0
        try:
            return self._reader.read(head, limits)
        except MalformedMessage:
            self.data = head
            raise

    def _refuse_bare_line_feeds(self, data: bytes) -> None:
        """Refuse at once a client that ends lines with LF alone (RFC 9112 section 2.2).

        The end of its head would never come.
        """
        position = data.find(b"\n", self._scanned)
        while position >= 0:
            if data[max(0, position - 1) : position] != b"\r":
                raise MalformedMessage(400, "line end that is not CRLF")
            position = data.find(b"\n", position + 1)
