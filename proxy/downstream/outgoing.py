"""What a server gets of a request. All that changes in its head on the way is applied here."""

from typing import Final

from proxy.auth.grant import Grant
from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client
from proxy.downstream.requests import Request
from proxy.http.framing import RequestFraming
from proxy.http.headers import upstream_fields, upstream_head


class OutgoingRequest:
    """One request on its way to a server."""

    __slots__ = ("_client", "_fields", "_grant", "_request", "_target", "text")

    def __init__(
        self, request: Request, target: RouteTarget, client: Client, fields: bytes, grant: Grant | None = None
    ) -> None:
        """`fields` are the field lines for a body that goes on as it came.

        The connection has them once for all of its requests that have the same ones. `grant` are
        fields that replace those of the client.
        """
        self._request: Final = request
        self._target: Final = target
        self._client: Final = client
        self._fields: Final = fields
        self._grant: Final = grant
        self.text = b""
        """The head, and behind it the body of a request that may be sent once more.

        It is empty if a part of the request was sent that is not kept.
        """

    def write_head(self, framing: RequestFraming, request_id: bytes) -> None:
        """Write the head. `framing` says how the body is sent."""
        request, fields = self._request, self._fields
        if self._grant is not None:
            framing = framing._replace(fields=self._grant.applied(framing.fields))
        if framing is not request.framing:
            fields = upstream_fields(request.head, framing, self._client.peer)
        self.text = upstream_head(request.head, framing, fields, request_id)
