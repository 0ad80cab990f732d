"""How a response is sent on to the client: its framing, its head and its trailer fields.

The proxy writes the head itself, between the fields that it forwards. A response whose end the
client could not see otherwise goes in chunks. What is said of one shape of responses is kept, as
most responses of a server have the same one.
"""

from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from proxy.http.fields import may_be_trailer
from proxy.http.forwarded_head import field_lines
from proxy.http.framing import BodyKind, ResponseFraming
from proxy.http.grammar import is_token, list_elements
from proxy.http.head import Header, ResponseHead
from proxy.http.responses import Response
from proxy.http.via import via


class Persistence(Enum):
    """Whether the connection of the client stays open, and how the client is told."""

    IMPLICIT = auto()
    """It stays open, as HTTP/1.1 expects: no field says so."""
    KEEP_ALIVE = auto()
    """It stays open; an HTTP/1.0 client must be told."""
    CLOSE = auto()


class Delivery:
    """How responses of one shape are sent on to the client."""

    def __init__(
        self,
        body: BodyKind,
        persistence: Persistence,
        trailers: tuple[bytes, ...] = (),
        withheld: frozenset[bytes] | None = None,
    ) -> None:
        self.body: Final = body
        self.persistence: Final = persistence
        self.trailers: Final = trailers
        """Lower-case names of the trailer fields that are announced and may be sent on."""
        self.withheld: Final = withheld
        """Lower-case names of trailer fields that Connection keeps from being sent on.

        None if no trailer field may be sent on.
        """


_PERSISTENCE_LINES: Final = {
    Persistence.KEEP_ALIVE: b"Connection: keep-alive\r\n",
    Persistence.CLOSE: b"Connection: close\r\n",
}


def delivery(response: ResponseFraming, minor_version: int, *, accepts_trailers: bool, keep_alive: bool) -> Delivery:
    """Decide how a final response is sent on to a client of HTTP/1.`minor_version`.

    `keep_alive` says whether both it and we want the connection to stay.
    """
    body = response.body
    if minor_version == 0 and body is BodyKind.CHUNKED:
        body = BodyKind.UNTIL_CLOSE
    elif minor_version > 0 and body is BodyKind.UNTIL_CLOSE:
        # Chunks show the client where the body ends. They also show that an upstream ended early.
        body = BodyKind.CHUNKED
    if not keep_alive or body is BodyKind.UNTIL_CLOSE:
        persistence = Persistence.CLOSE
    elif minor_version == 0:
        persistence = Persistence.KEEP_ALIVE
    else:
        persistence = Persistence.IMPLICIT
    if not accepts_trailers or response.body is not BodyKind.CHUNKED:
        return Delivery(body, persistence)
    return Delivery(body, persistence, _announced_trailers(response), response.named)


def _announced_trailers(response: ResponseFraming) -> tuple[bytes, ...]:
    """Name the trailer fields that the response announces and RFC 9110 6.5.1 does not forbid."""
    names = (name.lower() for name in list_elements(response.special.get(b"trailer", [])))
    return tuple(name for name in names if is_token(name) and may_be_trailer(name) and name not in response.named)


class DeliveryFrame:
    """How responses of one shape are sent on, and the lines of their heads that are the same."""

    def __init__(self, delivery: Delivery, start: bytes, via: bytes, end: bytes) -> None:
        self.delivery: Final = delivery
        self.start: Final = start
        self.via: Final = via
        self.end: Final = end


# Cached, because most responses of a server have the same arguments: `response` is a shape. The
# arguments are positional, because keyword arguments would cost the cache time.
@lru_cache(maxsize=1_024)
def delivery_frame(
    response: ResponseFraming,
    minor_version: int,
    accepts_trailers: bool,  # noqa: FBT001
    keep_alive: bool,  # noqa: FBT001
) -> DeliveryFrame:
    """Decide how a response is sent on (see `delivery`), and write the lines for it."""
    sent = delivery(response, minor_version, accepts_trailers=accepts_trailers, keep_alive=keep_alive)
    lines: list[bytes] = []
    if sent.body is BodyKind.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if sent.persistence is not Persistence.IMPLICIT:
        lines.append(_PERSISTENCE_LINES[sent.persistence])
    if sent.trailers:
        lines.append(b"Trailer: %b\r\n" % b", ".join(sent.trailers))
    lines.append(b"\r\n")
    return DeliveryFrame(sent, _status_line(response.head), b"Via: %b\r\n" % via(response.head), b"".join(lines))


def downstream_head(
    response: Response, frame: DeliveryFrame, date: bytes, request_id: bytes, alternative: bytes = b""
) -> bytes:
    """Write the head of a final response to the client.

    `date` is used if the upstream sent none (RFC 9110 6.6.1). `alternative` is a line of ours, or
    nothing.
    """
    own_date = b"" if b"date" in response.noted else b"Date: %b\r\n" % date
    own_id = b"" if b"x-request-id" in response.noted else b"X-Request-Id: %b\r\n" % request_id
    digits = response.framing.digits  # also what a response to HEAD or a 304 only announces
    length = b"Content-Length: %b\r\n" % digits if digits else b""
    start = frame.start
    return b"%b%b%b%b%b%b%b%b" % (start, response.lines, own_date, own_id, alternative, frame.via, length, frame.end)


def _status_line(head: ResponseHead) -> bytes:
    # RFC 9110 2.5: our own version, not that of the upstream.
    return b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)


def informational_head(response: Response) -> bytes:
    """Write an interim response but 101, never to an HTTP/1.0 client (RFC 9110 15.2)."""
    return b"%b%b\r\n" % (_status_line(response.framing.head), response.lines)


def switching_head(response: Response, request_id: bytes) -> bytes:
    """Write the 101 that opens a WebSocket, which `framing` has checked against the offer."""
    framing = response.framing
    lines = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    lines += [
        (name, value)
        for name in (b"Sec-WebSocket-Accept", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions")
        for value in framing.special.get(name.lower(), [])
    ]
    if b"x-request-id" not in response.noted:
        lines.append((b"X-Request-Id", request_id))
    lines.append((b"Via", via(framing.head)))
    return b"%b%b%b\r\n" % (_status_line(framing.head), response.lines, field_lines(lines))


def forwardable_trailers(trailers: Iterable[Header], delivery: Delivery) -> list[Header]:
    """Keep the trailer fields of a response that may be sent on; those of a request never may.

    The rule is RFC 9110 6.5.1. A server need not announce trailer fields (6.6.2): those that it did
    not announce are as good.
    """
    withheld = delivery.withheld
    if withheld is None:
        return []
    return [trailer for trailer in trailers if may_be_trailer(name := trailer[0].lower()) and name not in withheld]
