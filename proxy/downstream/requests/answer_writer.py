"""Writes the answer to one request in the protocol of its client.

What answers a request (an exchange with a server, or the proxy itself) does not know the protocol.
There is a writer for HTTP/1.1 (`http1.writer`) and one for HTTP/2 (`http2.writer`).
"""

from dataclasses import dataclass

from proxy.http.head import Header
from proxy.http.responses import Response


@dataclass(slots=True, init=False)
class OwnAnswer:
    """A complete answer of the proxy itself."""

    status: int
    reason: bytes
    """The reason phrase, which HTTP/2 does not send."""
    lines: bytes
    """Whole field lines, without those about the connection."""
    body: bytes
    """Empty if the request was HEAD."""

    # written out: the interpreter runs that of a dataclass
    def __init__(self, status: int, reason: bytes, lines: bytes, body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.lines = lines
        self.body = body


class AnswerWriter:
    """Takes the parts of one answer in their order. `flush` sends what was written.

    It is a class and not a protocol, because a call through a protocol costs compiled code more.
    """

    def invite(self) -> None:
        """Tell the client to send its body, which it holds back (RFC 9110 section 10.1.1)."""
        raise NotImplementedError

    def never_index(self, names: frozenset[bytes]) -> None:
        """Mark fields with these names from now on, see `ResponseReceiver`; not in HTTP/1.1."""

    def informational(self, response: Response) -> None:
        """Send a 1xx response other than 101."""
        raise NotImplementedError

    def start(self, response: Response, request_id: bytes, *, is_request_complete: bool) -> None:
        """Write the head of the final response.

        The connection takes no further request if this one is not complete by now.
        """
        raise NotImplementedError

    def data(self, data: bytes | memoryview) -> None:
        """Write a piece of the body; a view is valid only until `flush` returns."""
        raise NotImplementedError

    def end(self, trailers: list[Header]) -> None:
        """Write the end of the body, with the trailer fields that may be sent on."""
        raise NotImplementedError

    def flush(self) -> int:
        """Send what was written. Returns how many bytes that are."""
        raise NotImplementedError

    def complete(self) -> None:
        """All of the answer was written and flushed: let its connection go on."""
        raise NotImplementedError

    def switch(self, response: Response, request_id: bytes) -> None:
        """Send the answer that opens a WebSocket. `response` is the verified 101 of the server."""
        raise NotImplementedError

    def answer(self, answer: OwnAnswer, *, stays: bool) -> None:
        """Send a whole answer. The connection takes a further request if it `stays`."""
        raise NotImplementedError
