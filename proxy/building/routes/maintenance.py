"""Build what connections know of the routes in maintenance."""

from collections.abc import Sequence

from config.values.addresses import parse_network
from proxy.downstream.requests.maintenance import ClosedRoute, ClosedRoutes
from proxy.processes.messages.questions import MaintainedRoute
from proxy.routes.access import Access
from proxy.routes.error_pages import ErrorPage, ErrorPages


def maintenance_of(routes: Sequence[MaintainedRoute], drain_seconds: float) -> ClosedRoutes | None:
    """The routes by their name, None if there are none. The parent has checked what they hold."""
    if not routes:
        return None
    return ClosedRoutes({one.route: _closed(one) for one in routes}, drain_seconds)


def _closed(one: MaintainedRoute) -> ClosedRoute:
    pages = None
    if one.page:
        page = ErrorPage(one.page.encode(), is_html=one.page_is_html)
        pages = ErrorPages([{"503": {one.page_is_html: page}}])
    exempt = Access([parse_network(text) for text in one.allowed], []) if one.allowed else None
    return ClosedRoute(one.retry_after, pages, exempt)
