"""Routes in maintenance on the admin socket. ROUTE is the name of a route, as in the log.

GET  /maintenance                    the routes that are out of service
POST /maintenance/on?route=ROUTE     take a route out; the body is the page, if there is one
POST /maintenance/off?route=ROUTE    put it back
"""

from typing import Protocol

from aiohttp import web

from proxy.admin.requests.problems import CommandRefused, json_answer
from proxy.admin.requests.wishes import MaintenanceWish
from proxy.api.commands import MaintainedRow, MaintenanceDocument, MaintenanceEnd


class MaintenanceControl(Protocol):
    """The keeper of the list in the parent. Every method may raise `CommandRefused`."""

    def listed(self) -> MaintenanceDocument: ...

    async def begin(self, wish: MaintenanceWish) -> MaintainedRow:
        """Take a route out of service in all workers. Returns its entry of the list.

        The entry has a `warning` if a worker did not answer.
        """

    async def end(self, route: str) -> MaintenanceEnd:
        """Put a route back into service in all workers."""


def add_maintenance_routes(router: web.UrlDispatcher, control: MaintenanceControl) -> None:
    routes = _Maintenance(control)
    router.add_get("/maintenance", routes.listed)
    router.add_post("/maintenance/on", routes.begin)
    router.add_post("/maintenance/off", routes.end)


class _Maintenance:
    def __init__(self, control: MaintenanceControl) -> None:
        self._control = control

    async def listed(self, _request: web.Request) -> web.Response:
        return json_answer(self._control.listed())

    async def begin(self, request: web.Request) -> web.Response:
        query = request.query
        wish = MaintenanceWish(
            _route(request),
            query.get("retry_after", ""),
            query.get("allow", ""),
            await request.read(),
            page_is_html=query.get("page", "html") == "html",
        )
        return json_answer(await self._control.begin(wish))

    async def end(self, request: web.Request) -> web.Response:
        return json_answer(await self._control.end(_route(request)))


def _route(request: web.Request) -> str:
    route = request.query.get("route", "")
    if not route:
        raise CommandRefused(400, "route says which route: write it")
    return route
