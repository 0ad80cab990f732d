"""The requests of one connection, read with a memory of the last one. Pure.

Clients repeat themselves. On a kept-alive connection a browser or a chat client sends the same
field section repeatedly, often byte for byte; only the target changes. The meaning of a field
section follows from its bytes. So a section that is equal to the one before it is not parsed,
judged and written again.

Each connection remembers one section. A shared cache would keep one client's fields (its cookies)
among those of others, and clients could flush it.
"""

from collections.abc import Callable
from typing import Final

from proxy.auth.grant import Grant
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.requester import Requester
from proxy.downstream.requests.targets import LOOP, RouteTarget, target_for_server, target_of
from proxy.http.forwarded_head import upstream_fields
from proxy.http.framing import RequestFraming, request_framing
from proxy.http.head import HeadLimits, RequestHead, parse_request_head, parse_request_line
from proxy.http.routing import RouteTable
from proxy.http.target import origin_form, parse_authority
from proxy.observe.logs.access_log import TargetRecord
from proxy.routes.field_edits import FieldEdits
from proxy.routes.templates import RequestValues
from proxy.tls.handshake.results import Established

# Longer ones are not worth the memory of an idle connection: those of browsers have 500 to 2,000
# bytes.
_REMEMBERED_BYTES: Final = 4_096
_LINE_END: Final = b"\r\n"


class Request:
    """A request as it was understood. It holds the field lines for its upstream after first use."""

    __slots__ = (
        "_admission",
        "_line_end",
        "_raw",
        "_routes",
        "_target",
        "_with_query",
        "answered",
        "changed_target",
        "edited",
        "fields",
        "framing",
        "head",
        "requester",
        "untouched_by",
    )

    def __init__(
        self, raw: bytes, line_end: int, head: RequestHead, framing: RequestFraming, last: "Request | None" = None
    ) -> None:
        """`raw` is its head, and `line_end` the length of the request line.

        `last` is the request before it on the connection, if that has the same field section.
        """
        self._raw: Final = raw
        self._line_end: Final = line_end
        self.head: Final = head
        self.framing: Final = framing
        self.fields: bytes | None = None if last is None else last.fields
        self.requester: Requester | None = None if last is None else last.requester
        """Who it comes from: settled when it is taken up, as the connection knows it."""
        self.edited: tuple[FieldEdits, bytes, bytes] | None = None if last is None else last.edited
        """The last edits of its field lines, and the lines before and after them."""
        self.answered: tuple[FieldEdits, list[bytes]] | None = None if last is None else last.answered
        """The last edits of a response, and the lines that they add."""
        self.untouched_by: Grant | None = None if last is None else last.untouched_by
        """The last grant that would not change its fields."""
        self._target: TargetRecord | None = None
        self._with_query = False
        # the same request is not routed twice: the result on this connection, and by which routes
        self._routes: RouteTable[RouteTarget] | None = None
        self._admission: RouteTarget | RequestRefusal
        self.changed_target = b""
        """What the server is asked for, if the route changes the path."""

    def is_head(self, raw: bytes) -> bool:
        """Whether this was its head, byte for byte."""
        return self._raw == raw

    def has_section(self, section: bytes) -> bool:
        """Whether this was everything behind the request line, byte for byte."""
        return len(section) == len(self._raw) - self._line_end and self._raw.endswith(section)

    def routed(self, tls: Established, routes: RouteTable[RouteTarget]) -> RouteTarget | RequestRefusal:
        """Where the request may go, see `targets.target_of`."""
        if self._routes is not routes:
            passed = self.framing.fields.special.get(b"via")
            if passed is not None and self.client.peer.via.is_in(passed):
                self._admission = LOOP
            else:
                self._admission = target_of(self.head, self.framing, tls, routes)
            if isinstance(self._admission, RouteTarget) and self._admission.path_change is not None:
                changed = target_for_server(self._admission.path_change, self.framing.target)
                if isinstance(changed, RequestRefusal):
                    self._admission = changed
                else:
                    self.changed_target = changed
            self._routes = routes
        return self._admission

    def is_changed_by(self, grant: Grant) -> bool:
        """Whether a grant changes its fields; asked once for the same fields of a connection."""
        if self.untouched_by is grant:
            return False
        if grant.changes(self.framing.fields):
            return True
        self.untouched_by = grant
        return False

    def edited_fields(self, edits: FieldEdits, fields: bytes, values: Callable[[], RequestValues]) -> bytes:
        """Field lines for the upstream as a route changes them; `fields` are those without."""
        if edits.is_per_request:
            return edits.in_request(fields, values)
        last = self.edited
        if last is not None and last[0] is edits and last[1] is fields:
            return last[2]
        edited = edits.in_request(fields, values)
        self.edited = (edits, fields, edited)
        return edited

    def response_lines(self, edits: FieldEdits, values: Callable[[], RequestValues]) -> list[bytes]:
        """The field lines that a route adds to the response."""
        if edits.is_per_request:
            return edits.lines(values)
        last = self.answered
        if last is not None and last[0] is edits:
            return last[1]
        lines = edits.lines(values)
        self.answered = (edits, lines)
        return lines

    @property
    def may_be_followed(self) -> bool:
        """Whether the client could send another request after an answer of ours.

        A client that believes to speak WebSocket could not.
        """
        return self.framing.keep_alive and self.framing.websocket is None

    def record(self, *, with_query: bool, fields: tuple[str, ...] = ()) -> TargetRecord:
        """What the log says about where the request goes."""
        target = self._target
        if target is None or self._with_query != with_query or target.fields is not fields:  # by a reload
            self._with_query = with_query
            path, _, query = self.framing.target.partition(b"?")
            self._target = target = TargetRecord(
                self.framing.host.decode("ascii"),
                self.head.method.decode("ascii"),
                path.decode("latin-1"),
                query.decode("latin-1") if with_query else None,
            )
            if fields:
                target.headers = self.head.headers
            target.fields = fields
        return target

    @property
    def client(self) -> Requester:
        """Who it comes from, once it was taken up."""
        assert self.requester is not None
        return self.requester

    def upstream_fields(self) -> bytes:
        if self.fields is None:  # each changed request comes this way, so it calls nothing else of ours
            client = self.requester
            assert client is not None  # as in `client`
            self.fields = upstream_fields(self.head, self.framing, client.peer, client.chain)
        return self.fields

    def fields_with(self, framing: RequestFraming) -> bytes:
        """The field lines for an upstream that gets its body in another form."""
        client = self.client
        return upstream_fields(self.head, framing, client.peer, client.chain)


class RequestReader:
    """Reads complete request heads of one connection."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Request | None = None

    def read(self, raw: bytes, limits: HeadLimits) -> Request:
        """Parse and judge a head, from first byte to CRLF CRLF. Raises `MalformedMessage`."""
        last = self._last
        if last is not None and last.is_head(raw):
            return last
        end = raw.index(_LINE_END)
        if last is not None and last.has_section(raw[end:]):
            request = _with_line(last, raw, end, limits)
            if request is not None:
                self._last = request
                return request
        head = parse_request_head(raw, limits)
        request = Request(raw, end, head, request_framing(head))
        self._last = request if len(raw) - end <= _REMEMBERED_BYTES else None
        return request


def _with_line(last: Request, raw: bytes, line_end: int, limits: HeadLimits) -> Request | None:
    """The request with the same fields and another target; None if more than the target differs."""
    method, target, minor_version = parse_request_line(raw[:line_end], limits)
    if method != last.head.method or minor_version != last.head.minor_version:
        return None
    framing = last.framing
    path = origin_form(method, target, parse_authority(framing.host_field))
    return Request(raw, line_end, last.head.asking(method, target), framing.with_target(path, framing.fields), last)
