"""The alerts on the admin socket.

GET  /alerts        what is open, the most urgent first, and what may become an alert
POST /alerts/test   send a test alert to each receiver, and tell what each did
"""

from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp import web

from proxy.admin.problems import json_answer


class AlertControl(Protocol):
    """The alerts, as the admin server sees them."""

    async def listed(self) -> dict[str, Any]:
        """Look, then return `alerts`, as `observe.alert.OpenAlert.as_json` writes them, and
        `waiting`: what has not lasted for long enough to be one.
        """

    async def test(self) -> Sequence[dict[str, Any]]:
        """Send a test alert to each receiver.

        Each row has `receiver`, `to`, `ok`, and in `detail` the reason of a failure or None.
        """


def add_alert_routes(router: web.UrlDispatcher, control: AlertControl) -> None:
    """Add the routes."""

    async def listed(_request: web.Request) -> web.Response:
        return json_answer(await control.listed())

    async def test(_request: web.Request) -> web.Response:
        receivers = await control.test()
        ok = bool(receivers) and all(one["ok"] for one in receivers)
        return json_answer({"ok": ok, "receivers": receivers})

    router.add_get("/alerts", listed)
    router.add_post("/alerts/test", test)
