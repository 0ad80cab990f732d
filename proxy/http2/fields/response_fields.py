"""The fields of the answers to a client of HTTP/2 (RFC 9113 section 8.3.2). Pure.

They are for the encoder: lower-case names, `:status` first, and nothing about the connection
(8.2.2). `proxy.http.forwarded_head` writes the same answers for HTTP/1.1, and its rules hold here:
how a body is delivered, and which trailer fields may continue.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from proxy.http.delivery import Delivery, delivery, forwardable_trailers
from proxy.http.framing import ResponseFraming
from proxy.http.head import Header
from proxy.http.responses import Response, as_field
from proxy.http.via import via
from proxy.http2.fields.field_rules import CONNECTION_FIELDS
from proxy.http2.hpack.static_table import AnyHeader

CONTINUE_FIELDS: Final[list[Header]] = [(b":status", b"100")]
"""The answer that invites a body (RFC 9110 15.2.1)."""

_NO_FIELDS: Final[list[Header]] = []
# The encoder knows these by their identity, so compiled code must not take the pairs apart.
_STATUS: Final[list[AnyHeader]] = [(b":status", b"%d" % status) for status in range(600)]


class FieldFrame:
    """How a response is sent on, and the first and last fields of its head, which say so."""

    def __init__(self, delivery: Delivery, start: list[AnyHeader], end: list[Header]) -> None:
        self.delivery: Final = delivery
        self.start: Final = start
        self.end: Final = end


# Most responses of a server have the same shape: that of their framing.
@lru_cache(maxsize=1_024)
def field_frame(response: ResponseFraming) -> FieldFrame:
    """Decide how a final response is sent on (see `delivery`), and make the fields for it.

    HTTP/2 has a place for trailer fields, so its client takes them without saying so (8.1). The end
    of the stream ends a body, so the connection always stays.
    """
    sent = delivery(response, 1, accepts_trailers=True, keep_alive=True)
    end = [(b"via", via(response.head))]
    if sent.trailers:
        end.append((b"trailer", b", ".join(sent.trailers)))
    return FieldFrame(sent, [_STATUS[response.head.status]], end)


def final_fields(
    response: Response, frame: FieldFrame, date: bytes, request_id: bytes, alternative: list[Header] = _NO_FIELDS
) -> list[list[AnyHeader]]:
    """Make the head of a final response, in parts for the encoder.

    `date` is used if the upstream sent none (RFC 9110 6.6.1). `alternative` are fields of ours that
    are the same for a long time, or none.
    """
    own = _own_fields(response, date, request_id) or _NO_FIELDS
    length = response.framing.length_part
    return [frame.start, response.beginning.fields, response.rest.fields, own, alternative, frame.end, length]


def _own_fields(response: Response, date: bytes, request_id: bytes) -> list[Header]:
    has_date = False
    has_id = False
    for name in response.noted:
        if name == b"date":
            has_date = True
        else:
            has_id = True
    own = [] if has_date else [(b"date", date)]
    if not has_id:
        own.append((b"x-request-id", request_id))
    return own


def informational_fields(response: Response) -> list[Header]:
    """Make the head of an interim response other than 101, which HTTP/2 does not have (8.6)."""
    return [_STATUS[response.framing.head.status], *response.fields]


def opened_fields(response: Response, date: bytes, request_id: bytes) -> list[Header]:
    """Make the answer that opens a WebSocket: a 200 (RFC 8441 section 5).

    `response` is the 101 of the upstream, which `framing` has checked against the offer.
    """
    framing = response.framing
    agreed = [
        (name, value)
        for name in (b"sec-websocket-protocol", b"sec-websocket-extensions")
        for value in framing.special.get(name, [])
    ]
    return [
        _STATUS[200],
        *response.fields,
        *agreed,
        *_own_fields(response, date, request_id),
        (b"via", via(framing.head)),
    ]


def own_answer_fields(status: int, lines: bytes) -> list[Header]:
    """Make the head of an answer of the proxy itself from its field lines.

    Lines about the connection are left out.
    """
    fields = [as_field(line) for line in lines.splitlines(keepends=True)]
    return [_STATUS[status], *(field for field in fields if field[0] not in CONNECTION_FIELDS)]


def trailer_fields(trailers: Iterable[Header], delivery: Delivery) -> list[Header]:
    """Keep the trailer fields of a response that may be sent on, announced or not."""
    return [(name.lower(), value) for name, value in forwardable_trailers(trailers, delivery)]
