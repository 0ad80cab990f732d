"""What a route changes in a request on its way to a server, and in the response on its way back."""

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.auth.grant import Grant
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.forwarded_head import upstream_head
from proxy.http.framing import RequestFraming
from proxy.http.responses import Response
from proxy.routes.templates import RequestValues

_GROUP_NAME: Final = len(b"X-TLS-Group: ")


@mypyc_attr(free_list_len=1)
class OutgoingRequest:
    """One request on its way to a server."""

    def __init__(self, request: Request, target: RouteTarget, fields: bytes, grant: Grant | None = None) -> None:
        """`fields` are the field lines for a body that continues as it came.

        The connection has them once for all of its requests that have the same ones. `grant` are
        fields that replace those of the client.
        """
        self._request: Final = request
        self._target: Final = target
        self._fields: Final = fields
        self._grant: Final = grant
        self._id = b""
        self.text = b""
        """The head, and behind it the body of a request that may be sent once more.

        It is empty if a part of the request was sent that is not kept.
        """

    def write_head(self, framing: RequestFraming, request_id: bytes) -> None:
        """Write the head. `framing` says how the body is sent."""
        request = self._request
        fields = self._fields
        edits = self._target.request_fields
        self._id = request_id
        if self._grant is not None:
            framing = framing.with_fields(self._grant.applied(framing.fields), framing.websocket)
        if framing is not request.framing:
            fields = request.fields_with(framing)
        if edits is not None:
            fields = request.edited_fields(edits, fields, self._values)
        target = None if self._target.path_change is None else request.changed_target
        self.text = upstream_head(request.head, framing, fields, self._id, target)

    def changed(self, response: Response) -> Response:
        """A final response, or a 101, with what the route changes in it."""
        path = self._target.path_change
        edits = self._target.response_fields
        if path is not None:
            response = path.in_response(response, self._request.framing.host_field)
        if edits is None:
            return response
        lines = self._request.response_lines(edits, self._values) if edits.needs_values else []
        return edits.in_response(response, lines)

    def _values(self) -> RequestValues:
        return request_values(self._request, self._id)


def request_values(request: Request, request_id: bytes) -> RequestValues:
    """What the variables in fields of a route stand for."""
    client = request.client
    group = client.peer.group[_GROUP_NAME:].partition(b"\r\n")[0]
    return RequestValues(client.shown, request.framing.host, request_id, group)


def error_fields(target: RouteTarget | None, own: bytes, request: Request | None, request_id: bytes) -> bytes:
    """The field lines that a route adds to an internal error, which has the lines `own`.

    `target` is None for a request that found no route.
    """
    if target is None or request is None or target.response_fields is None:
        return b""
    return target.response_fields.beside(own, partial(request_values, request, request_id))


def answer_fields(target: RouteTarget | None, fields: bytes, request: Request, request_id: bytes) -> bytes:
    """The field lines of an own answer that is not an error, with what its route changes in
    them."""
    if target is None or target.response_fields is None:
        return fields
    lines = fields.splitlines(keepends=True)
    return b"".join(target.response_fields.edited(lines, partial(request_values, request, request_id)))
