"""The requests of one connection, read with a memory of the last one. Pure.

Clients repeat themselves. On a kept-alive connection a browser or a chat client sends nearly the
same request repeatedly. A request that is equal to the one before it, byte for byte, is not read
again. Of one that differs only the lines that differ are read (see `http.line_memory`), and what
follows from the others is not judged, routed and written again.

Each connection remembers one request: its head, with its cookies and other secrets, and what was
read of it. They are those of the client that the connection belongs to, and go when its next
request comes. A shared cache would keep one client's fields among those of others, and clients
could flush it.
"""

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.auth.grant import Grant
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.requester import Requester
from proxy.downstream.requests.targets import (
    LOOP,
    MISDIRECTED,
    RouteTarget,
    chosen,
    is_covered,
    place_of,
    target_for_server,
)
from proxy.http.forwarded_head import own_lines, upstream_fields, with_forwarded
from proxy.http.framing import RequestFraming, request_framing
from proxy.http.head import HeadLimits, MalformedMessage, RequestHead, parse_request_head, parse_request_line
from proxy.http.line_memory import REMEMBERED_BYTES, LineMemory
from proxy.http.routing import RouteTable, is_path_of, path_of
from proxy.http.target import origin_form
from proxy.observe.logs.access_log import TargetRecord
from proxy.routes.field_edits import FieldEdits
from proxy.routes.templates import RequestValues
from proxy.tls.handshake.results import Established

_LINE_END: Final = b"\r\n"


@mypyc_attr(free_list_len=1)
class Destination:
    """Where requests go that have one host, method and target, on one connection."""

    def __init__(self, path: bytes) -> None:
        """`path` is that of the target."""
        self.path: Final = path
        self._covered_by: Established | None = None
        """The connection, if it is known to be made for the host."""
        self._routes: RouteTable[RouteTarget] | None = None
        self._place: RouteTarget | RequestRefusal = MISDIRECTED
        self.record: TargetRecord | None = None
        """What the log says about it, with its query if it `has_query`."""
        self.has_query = False

    def with_target(self, target: bytes) -> "Destination":
        """Another target of the same host. Its query plays no part in where it is."""
        if not is_path_of(self.path, target):
            other = Destination(path_of(target))
        else:
            other = Destination(self.path)
            other._routes = self._routes
            other._place = self._place
        other._covered_by = self._covered_by
        return other

    def place(
        self, framing: RequestFraming, tls: Established, routes: RouteTable[RouteTarget]
    ) -> RouteTarget | RequestRefusal:
        """What is served there, see `targets.place_of`."""
        if self._routes is not routes:
            if self._covered_by is tls or is_covered(framing, tls):
                self._covered_by = tls
                self._place = place_of(framing, routes)
            else:
                self._place = MISDIRECTED
            self._routes = routes
        return self._place


@mypyc_attr(free_list_len=1)
class Request:
    """A request as it was understood. It holds the field lines for its upstream after first use."""

    def __init__(
        self, raw: bytes, line_end: int, head: RequestHead, framing: RequestFraming, last: "Request | None" = None
    ) -> None:
        """`raw` is its head, and `line_end` the length of the request line.

        `last` is the request before it on the connection, if the same lines told `framing` what
        both mean. All that follows from what they share is taken over.
        """
        self._raw: Final = raw
        self._line_end: Final = line_end
        self.head: Final = head
        self.framing: Final = framing
        self.fields: bytes | None = None
        self.requester: Requester | None = None
        """Who it comes from: settled when it is taken up, as the connection knows it."""
        self.edited: tuple[FieldEdits, bytes, bytes] | None = None
        """The last edits of its field lines, and the lines before and after them."""
        self.answered: tuple[FieldEdits, list[bytes]] | None = None
        """The last edits of a response, and the lines that they add."""
        self.untouched_by: Grant | None = None
        """The last grant that would not change its fields."""
        self.own_lines: bytes | None = None
        """Those of its field lines that we write about its peer and its way."""
        # the same request is not routed twice: the result on this connection, and by which routes
        self._routes: RouteTable[RouteTarget] | None = None
        self._admission: RouteTarget | RequestRefusal = MISDIRECTED
        self.changed_target = b""
        """What the server is asked for, if the route changes the path."""
        if last is None:
            self.destination = Destination(path_of(framing.target))
        else:
            self._follow(last)

    def _follow(self, last: "Request") -> None:
        client = last.requester
        if self.framing.fields is last.framing.fields:
            self.requester = client
            self.fields = last.fields
            self.edited = last.edited
            self.answered = last.answered
            self.untouched_by = last.untouched_by
        elif client is not None and client.chain is None:  # no field tells who it is
            self.requester = client
            self.own_lines = last.own_lines
        before = last.destination
        target = self.framing.target
        self.destination = before if target == last.framing.target else before.with_target(target)

    def is_head(self, raw: bytes) -> bool:
        """Whether this was its head, byte for byte."""
        return self._raw == raw

    def has_section(self, section: bytes) -> bool:
        """Whether this was everything behind the request line, byte for byte."""
        return len(section) == len(self._raw) - self._line_end and self._raw.endswith(section)

    def routed(self, tls: Established, routes: RouteTable[RouteTarget]) -> RouteTarget | RequestRefusal:
        """Where the request may go on a connection with these TLS facts, or the refusal."""
        if self._routes is not routes:
            self._admission = self._admitted(tls, routes)
            self._routes = routes
        return self._admission

    def _admitted(self, tls: Established, routes: RouteTable[RouteTarget]) -> RouteTarget | RequestRefusal:
        passed = self.framing.fields.special.get(b"via")
        if passed is not None and self.client.peer.via.is_in(passed):
            return LOOP
        target = self.destination.place(self.framing, tls, routes)
        if isinstance(target, RouteTarget) and target.alternatives is not None:
            target = chosen(target.alternatives, self.head.method, self.framing)
        if isinstance(target, RouteTarget) and target.path_change is not None:
            changed = target_for_server(target.path_change, self.framing.target)
            if isinstance(changed, RequestRefusal):
                return changed
            self.changed_target = changed
        return target

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
        place = self.destination
        target = place.record
        if (
            target is None
            or place.has_query != with_query
            or target.fields is not fields  # by a reload
            or (fields and target.headers is not self.head.headers)
        ):
            place.has_query = with_query
            path = place.path
            query = self.framing.target[len(path) + 1 :]
            place.record = target = TargetRecord(
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
            own = self.own_lines
            if own is None:
                own = self.own_lines = own_lines(self.head, self.framing, client.peer, client.chain)
            self.fields = with_forwarded(self.framing, own)
        return self.fields

    def fields_with(self, framing: RequestFraming) -> bytes:
        """The field lines for an upstream that gets its body in another form."""
        client = self.client
        return upstream_fields(self.head, framing, client.peer, client.chain)


class RequestReader:
    """Reads complete request heads of one connection."""

    def __init__(self) -> None:
        self._last: Request | None = None
        self._lines: Final = LineMemory()

    def read(self, raw: bytes, limits: HeadLimits) -> Request:
        """Parse and judge a head, from first byte to CRLF CRLF. Raises `MalformedMessage`."""
        last = self._last
        if last is not None and last.is_head(raw):
            return last
        end: int = raw.find(_LINE_END)
        try:
            request = self._read(raw, end, limits)
        except MalformedMessage:
            request = None
        if request is None:
            # llhttp says what is wrong
            self._last = None
            self._lines.forget()
            head = parse_request_head(raw, limits)
            return Request(raw, end, head, request_framing(head))
        if len(raw) - end <= REMEMBERED_BYTES:
            self._last = request
        else:
            self._last = None
            self._lines.forget()
        return request

    def _read(self, raw: bytes, line_end: int, limits: HeadLimits) -> Request | None:
        """Read it with what is known; None if one of its lines is doubtful."""
        line = raw[:line_end]
        section = raw[line_end:]
        last = self._last
        # method and version play a part in what the fields mean
        target = None if last is None else last.head.other_target(line, limits)
        if last is not None and target is not None and last.has_section(section):
            head = last.head.asking(last.head.method, target)
            fields = last.framing.fields
        else:
            if last is not None and target is not None:
                head = RequestHead(last.head.method, target, last.head.minor_version, raw)
            else:
                head = RequestHead(*parse_request_line(line, limits), raw)
            found = self._lines.read(section, limits)
            if found is None:
                return None
            fields = found
        if last is None or target is None or not last.framing.is_judged_by(fields):
            return Request(raw, line_end, head, request_framing(head, fields))
        framing = last.framing
        path = framing.target
        if target != last.head.target:
            path = origin_form(head.method, target, framing.host_field)
        return Request(raw, line_end, head, framing.with_target(path, fields), last)
