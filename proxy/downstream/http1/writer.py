"""Writes the answer to one request as HTTP/1.1, or 1.0 (RFC 9112)."""

from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from proxy.downstream.requests.answer_writer import AnswerWriter, OwnAnswer
from proxy.downstream.requests.body import CONTINUE
from proxy.downstream.requests.request import Request
from proxy.downstream.service.stamps import Stamps
from proxy.http.alternative import NO_ALTERNATIVE, AlternativeService
from proxy.http.chunked import encode_chunk, encode_trailers
from proxy.http.delivery import (
    Delivery,
    Persistence,
    delivery_frame,
    downstream_head,
    forwardable_trailers,
    informational_head,
    switching_head,
)
from proxy.http.framing import BodyKind
from proxy.http.head import Header
from proxy.http.responses import Response

_UPGRADE_REQUIRED: Final = 426


class Http1Client(Protocol):
    def send(self, data: bytes | memoryview) -> None:
        """Send response bytes; a view is valid only during the call."""

    def finished(self, persistence: Persistence) -> None:
        """All of the response was sent; the request is over when the client has taken it."""

    @property
    def may_stay(self) -> bool:
        """Whether the connection may take another request after this one, from our side."""


@mypyc_attr(free_list_len=1)
class Http1Writer(AnswerWriter):
    """The writer of one request, for as long as the connection answers it."""

    def __init__(
        self,
        client: Http1Client,
        stamps: Stamps,
        request: Request | None,
        alternative: AlternativeService = NO_ALTERNATIVE,
    ) -> None:
        """`stamps` give the value of a `Date` field. Without a request, none was understood."""
        self._persistence = Persistence.IMPLICIT
        self._client: Final = client
        self._stamps: Final = stamps
        self._alternative: Final = alternative
        self._minor_version: Final = 1 if request is None else request.head.minor_version
        self._framing: Final = None if request is None else request.framing
        self._delivery: Delivery | None = None
        self._out: bytes | memoryview = b""

    def invite(self) -> None:
        self._client.send(CONTINUE)

    def informational(self, response: Response) -> None:
        self._client.send(informational_head(response))

    def start(self, response: Response, request_id: bytes, *, is_request_complete: bool) -> None:
        request = self._framing
        client = self._client
        assert request is not None  # only what was understood reaches a server
        # the rest of a body, or early bytes of a refused WebSocket, must not become a request
        keep_alive = request.keep_alive and is_request_complete and request.websocket is None and client.may_stay
        frame = delivery_frame(response.framing.shape, self._minor_version, request.accepts_trailers, keep_alive)
        self._delivery = frame.delivery
        self._persistence = frame.delivery.persistence
        self._out = downstream_head(response, frame, self._stamps.date(), request_id, self._alternative.line)

    def data(self, data: bytes | memoryview) -> None:
        assert self._delivery is not None  # the head came first
        if self._delivery.body is BodyKind.CHUNKED:
            data = encode_chunk(bytes(data))
        out = self._out
        self._out = b"".join((out, data)) if len(out) else data

    def end(self, trailers: list[Header]) -> None:
        assert self._delivery is not None  # the head came first
        if self._delivery.body is BodyKind.CHUNKED:
            self._out = bytes(self._out) + encode_trailers(forwardable_trailers(trailers, self._delivery))

    def flush(self) -> int:
        data = self._out
        size = len(data)
        if size:
            self._out = b""
            self._client.send(data)
        return size

    def complete(self) -> None:
        self._client.finished(self._persistence)

    def switch(self, response: Response, request_id: bytes) -> None:
        self._client.send(switching_head(response, request_id))

    def answer(self, answer: OwnAnswer, *, stays: bool) -> None:
        self._persistence = Persistence.CLOSE
        if stays:
            self._persistence = Persistence.IMPLICIT if self._minor_version else Persistence.KEEP_ALIVE
        self._client.send(whole_answer(answer, self._persistence, self._alternative.line))


def whole_answer(answer: OwnAnswer, persistence: Persistence, alternative: bytes = b"") -> bytes:
    """The bytes of an answer of ours. `alternative` is one more field line, or nothing."""
    options = []
    if persistence is not Persistence.IMPLICIT:
        options.append(b"close" if persistence is Persistence.CLOSE else b"keep-alive")
    if answer.status == _UPGRADE_REQUIRED:  # RFC 9110 section 7.8: Upgrade is a connection option
        options.append(b"Upgrade")
    connection = b"Connection: %b\r\n" % b", ".join(options) if options else b""
    start = b"HTTP/1.1 %d %b\r\n" % (answer.status, answer.reason)
    return b"".join((start, answer.lines, alternative, connection, b"\r\n", answer.body))
