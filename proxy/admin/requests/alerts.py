"""The alerts on the admin socket.

GET  /alerts        what is open, the most urgent first, and what may become an alert
POST /alerts/test   send a test alert to each receiver, and tell what each did
"""

from typing import Protocol

from aiohttp import web

from proxy.admin.requests.problems import json_answer
from proxy.api.commands import AlertsDocument, AlertTestDocument, ReceiverRow


class AlertControl(Protocol):
    """The alerts, as the admin server sees them."""

    async def listed(self) -> AlertsDocument:
        """Look, then return the open alerts, and what may become one."""

    async def test(self) -> list[ReceiverRow]: ...


def add_alert_routes(router: web.UrlDispatcher, control: AlertControl) -> None:
    async def listed(_request: web.Request) -> web.Response:
        return json_answer(await control.listed())

    async def test(_request: web.Request) -> web.Response:
        receivers = await control.test()
        ok = bool(receivers) and all(one["ok"] for one in receivers)
        return json_answer(AlertTestDocument(ok=ok, receivers=receivers))

    router.add_get("/alerts", listed)
    router.add_post("/alerts/test", test)
