"""The requests of one connection, read with a memory of the last one. Pure.

Clients repeat themselves. On a kept-alive connection a browser or a chat client sends the same
field section again and again, often byte for byte; only the target changes. The meaning of a field
section follows from its bytes. So a section that is equal to the one before it is not parsed,
judged and written again.

Each connection remembers one section. A shared cache would keep one client's fields (its cookies)
among those of others, and clients could flush it.
"""

from dataclasses import dataclass
from typing import Final

from proxy.downstream.admission import RouteTarget, admit
from proxy.downstream.refusals import RequestRefusal
from proxy.http.framing import RequestFraming, request_framing
from proxy.http.head import HeadLimits, RequestHead, parse_request_head, parse_request_line
from proxy.http.headers import ForwardedPeer, upstream_fields
from proxy.http.routing import RouteTable
from proxy.http.target import origin_form, parse_authority
from proxy.observe.access_log import TargetRecord
from proxy.tls.results import Established

# Longer ones are not worth the memory of an idle connection: those of browsers have 500 to 2,000
# bytes.
_REMEMBERED_BYTES: Final = 4_096
_LINE_END: Final = b"\r\n"


@dataclass(slots=True)
class Request:
    """A request as it was understood. It holds the field lines for its upstream after first use."""

    line: bytes
    section: bytes
    """Everything behind the request line."""
    head: RequestHead
    framing: RequestFraming
    fields: bytes | None = None
    target: TargetRecord | None = None
    admission: tuple[RouteTable[RouteTarget], RouteTarget | RequestRefusal] | None = None
    """The result on this connection, and for which routes: the same request is not routed twice."""

    def admitted(self, tls: Established, routes: RouteTable[RouteTarget]) -> RouteTarget | RequestRefusal:
        """Where the request may go, see `admission.admit`."""
        if self.admission is None or self.admission[0] is not routes:
            self.admission = (routes, admit(self.framing, tls, routes))
        return self.admission[1]

    @property
    def may_be_followed(self) -> bool:
        """Whether the client could send another request after an answer of ours.

        A client that believes to speak WebSocket could not.
        """
        return self.framing.keep_alive and self.framing.websocket is None

    def record(self, *, with_query: bool) -> TargetRecord:
        """What the log says about where the request goes."""
        if self.target is None:
            path, _, query = self.framing.target.partition(b"?")
            self.target = TargetRecord(
                self.framing.host.decode("ascii"),
                self.head.method.decode("ascii"),
                path.decode("latin-1"),
                query.decode("latin-1") if with_query else None,
            )
        return self.target

    def upstream_fields(self, peer: ForwardedPeer) -> bytes:
        """The field lines for the upstream. `peer` is always that of the connection."""
        if self.fields is None:
            self.fields = upstream_fields(self.head, self.framing, peer)
        return self.fields


class RequestReader:
    """Reads complete request heads of one connection."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        """Start without a remembered request."""
        self._last: Request | None = None

    def read(self, raw: bytes, limits: HeadLimits) -> Request:
        """Parse and judge a head, from first byte to CRLF CRLF. Raises `MalformedMessage`."""
        end = raw.index(_LINE_END)
        line, section = raw[:end], raw[end:]
        last = self._last
        if last is not None and last.section == section:
            request = last if last.line == line else _with_line(last, line, limits)
            if request is not None:
                self._last = request
                return request
        head = parse_request_head(raw, limits)
        request = Request(line, section, head, request_framing(head))
        self._last = request if len(section) <= _REMEMBERED_BYTES else None
        return request


def _with_line(last: Request, line: bytes, limits: HeadLimits) -> Request | None:
    """The request with the same fields and another target; None if more than the target differs."""
    method, target, minor_version = parse_request_line(line, limits)
    if method != last.head.method or minor_version != last.head.minor_version:
        return None
    framing = last.framing
    path = origin_form(method, target, parse_authority(framing.host_field))
    head = RequestHead(method, target, minor_version, last.head.headers)
    return Request(line, last.section, head, framing._replace(target=path), last.fields)
