"""Which routes an operator has taken out of service, for all connections of a loop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.requester import Requester
from proxy.limits.reasons import RequestReason
from proxy.routes.access import Access
from proxy.routes.error_pages import ErrorPages


@dataclass(frozen=True, slots=True)
class ClosedRoute:
    """How the requests of one route are answered."""

    retry_after: int
    pages: ErrorPages | None = None
    """Go before the pages of the route."""
    exempt: Access | None = None
    """The clients that are served anyway; None for no client."""


class ClosedRoutes:
    """All routes in maintenance, by their name."""

    def __init__(self, routes: Mapping[str, ClosedRoute], drain_seconds: float) -> None:
        """The WebSockets of the routes are closed within `drain_seconds`."""
        self._routes: Final = routes
        self._refusals: Final = {name: _refusal(one) for name, one in routes.items()}
        self.drain_seconds: Final = drain_seconds

    def refusal(self, route: str, client: Requester) -> RequestRefusal | None:
        """The answer to a request of this route; None if it is served."""
        found = self._routes.get(route)
        if found is None or (found.exempt is not None and client.is_admitted_by(found.exempt)):
            return None
        return self._refusals[route]


def _refusal(one: ClosedRoute) -> RequestRefusal:
    return RequestRefusal(
        503,
        "this service is under maintenance",
        RequestReason.MAINTENANCE,
        retry_after=one.retry_after,
        pages=one.pages,
    )
