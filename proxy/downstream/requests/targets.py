"""Which route a well-framed request takes. Pure.

What the route demands of the client is judged in `pipeline.unmet_demand`.
"""

from dataclasses import dataclass
from typing import Final

from proxy.auth.grant import Grant
from proxy.auth.rules import Rule
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.refusals import RequestRefusal, wrong_method
from proxy.http.framing import RequestFraming
from proxy.http.routing import AmbiguousPath, RouteTable
from proxy.limits.reasons import RequestReason
from proxy.limits.request_rates import RequestRate
from proxy.payload.judgement import PayloadRoute
from proxy.routes.access import Access
from proxy.routes.conditions import Alternatives, AmbiguousCondition, MethodNotAllowed
from proxy.routes.error_pages import ErrorPages
from proxy.routes.field_edits import FieldEdits
from proxy.routes.paths import NoPath, PathChange
from proxy.tls.handshake.results import Established


@dataclass(frozen=True, slots=True)
class RouteTarget:
    label: str
    upstream: str
    """The name of the upstream that answers; empty where an endpoint answers.

    An exchange takes the upstream of this name from the `HttpRuntime`. It does so in the turn of
    the loop that admits the request, because a reload may remove the name after that.
    """
    requires_pq: bool
    body_bytes: int
    rate: RequestRate | None = None
    payload: PayloadRoute | None = None
    """How bodies are encrypted; None where they are plain."""
    endpoint: Endpoint | None = None
    """Answers instead of an upstream."""
    streams_requests: bool = False
    """Whether the server gets certain bodies as they arrive.

    They are those of unknown length, and those that wait for a 100.
    """
    access: Access | None = None
    """Which networks may use it; None for all."""
    error_pages: ErrorPages | None = None
    """Pages of the operator for errors, those of the whole configuration among them."""
    path_change: PathChange | None = None
    """What becomes of the path on its way to the server."""
    request_fields: FieldEdits | None = None
    """What changes in the fields for the server."""
    response_fields: FieldEdits | None = None
    """What changes in the fields for the client."""
    alternatives: "Alternatives[RouteTarget] | None" = None
    """The routes of this host and path, if they have conditions.

    Then the rest of this target plays no part.
    """
    requires_certificate: bool = False
    """Whether a client that showed no certificate is refused."""
    auth: Rule | None = None
    """How it finds out who may use it."""
    withheld: Grant | None = None
    """Removes the fields in which its server is told who the client is, here or on other routes."""


MISDIRECTED: Final = RequestRefusal(421, "this connection was made for another host name", "misdirected_host")
LOOP: Final = RequestRefusal(508, "a server of this host sends requests back to this proxy", RequestReason.LOOP)
"""For a request that this proxy has had before (RFC 9110 section 7.6.3, RFC 5842 section 7.2)."""
_NO_ROUTE: Final = RequestRefusal(404, "nothing is served here", "no_route")
_AMBIGUOUS_PATH: Final = RequestRefusal(400, "the path can be read in more than one way", "ambiguous_path")
_AMBIGUOUS_CONDITION: Final = RequestRefusal(
    400, "a field or a parameter can be read in more than one way", RequestReason.AMBIGUOUS_CONDITION
)


def is_covered(framing: RequestFraming, tls: Established) -> bool:
    """Whether the connection was made for this host.

    RFC 9110 section 7.4: if its certificate was chosen for another name, the requested name may
    belong to another server.
    """
    return tls.identity.covers(framing.host.decode("ascii"))


def place_of(framing: RequestFraming, routes: RouteTable[RouteTarget]) -> RouteTarget | RequestRefusal:
    """What is served at the host and the path of a request, which may have conditions."""
    try:
        route = routes.match(framing.host, framing.target)
    except AmbiguousPath:
        return _AMBIGUOUS_PATH
    return _NO_ROUTE if route is None else route.payload


def chosen(
    alternatives: Alternatives[RouteTarget], method: bytes, framing: RequestFraming
) -> RouteTarget | RequestRefusal:
    """The target of a request among those of its host and path, or the refusal."""
    fields = framing.fields
    # else a client could take away what a proxy in front has written
    if fields.removed and alternatives.read_one_of(fields.removed):
        return _AMBIGUOUS_CONDITION
    try:
        target = alternatives.match(method, fields.forwarded, framing.target.partition(b"?")[2])
    except AmbiguousCondition:
        return _AMBIGUOUS_CONDITION
    except MethodNotAllowed as error:
        return wrong_method(error.allowed)
    return _NO_ROUTE if target is None else target


def target_for_server(change: PathChange, target: bytes) -> bytes | RequestRefusal:
    """What the server is asked for instead of the target, or the refusal."""
    try:
        return change.applied(target)
    except AmbiguousPath:
        return _AMBIGUOUS_PATH
    except NoPath:
        return _NO_ROUTE
