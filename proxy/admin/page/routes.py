"""The page on the admin server. All of it only reads.

GET /               the document, which has its style and script in it
GET /page/history   samples: `span` is `hour` or `day`, `since` a time in UNIX seconds
GET /events         what changes, as Server-Sent Events (`open_pages`)

An application with these routes has to let in only those who may see what the page shows: the names
and addresses of servers, the networks and user agents of clients.
"""

import asyncio
import contextlib
import math
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from aiohttp import web

from proxy.admin.page.assembly import assembled
from proxy.admin.page.open_pages import OpenPages
from proxy.admin.page.overview import overview
from proxy.admin.page.snapshot import snapshot
from proxy.admin.requests.contracts import Control
from proxy.admin.requests.problems import CommandRefused, json_answer
from proxy.admin.shared_answer import SharedAnswer
from proxy.admin.visit import Report, Visit
from proxy.api.overview import Overview
from proxy.processes.hot_path import hot_path

_EVENTS: Final = "text/event-stream"
# Of every answer. A document of another origin cannot read, embed or frame any of them.
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The handlers of the requests. All doors share one, which looks once for all pages."""

    def __init__(self, control: Control, report: Report) -> None:
        self._control = control
        self._hot_path = hot_path()
        self._page = assembled()
        self._overview = SharedAnswer(self._looked)
        self._open = OpenPages(self._overview.get, control.figures.history, report)

    def add_to(self, application: web.Application) -> None:
        """Add the routes. The pages end when the application shuts down."""
        router = application.router
        router.add_get("/", self.document)
        router.add_get("/page/history", self.history)
        # an answer to HEAD has no body (RFC 9110, section 9.3.2), and a stream is nothing else
        router.add_get("/events", self.events, allow_head=False)
        application.on_shutdown.append(self._shut)

    async def _shut(self, _application: web.Application) -> None:
        await self._open.close()

    async def _looked(self) -> Overview:
        scrape = await self._control.figures.scrape()
        issued = self._control.rotation.certificates()
        # for thousands of routes this takes a while: the parent must not stop so long
        return await asyncio.to_thread(overview, scrape, self._control.figures.history, issued, self._hot_path)

    async def document(self, _request: web.Request) -> web.Response:
        """Answer the document, with the state of this moment for a browser without JavaScript."""
        text = self._page.with_snapshot(snapshot(await self._overview.get()))
        headers = {**_HEADERS, "Content-Security-Policy": self._page.policy}
        response = web.Response(text=text, content_type="text/html", headers=headers)
        response.enable_compression()
        return response

    async def history(self, request: web.Request) -> web.Response:
        """Answer the samples of the last hour or day."""
        span = request.query.get("span", "hour")
        kept = {"hour": self._control.figures.history.fine, "day": self._control.figures.history.coarse}.get(span)
        if kept is None:
            raise CommandRefused(400, f"span is {span[:20]!a}: write hour or day")
        since = _since(request.query.get("since"))
        # a day takes some 40 milliseconds: the parent must not stop so long
        response = await asyncio.to_thread(lambda: json_answer(kept.since(since), headers=_HEADERS))
        response.enable_compression()
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell what changes until the browser leaves."""
        seen_at = _since(request.headers.get("Last-Event-ID") or request.query.get("since"))
        visit = request.protocol
        assert isinstance(visit, Visit)  # each request comes through a door
        visit.watches()
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": _EVENTS, "X-Accel-Buffering": "no"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # it has left
            async with aclosing(self._open.events(seen_at)) as events:
                async for text in events:
                    await response.write(text.encode())
            await response.write_eof()
        return response


def _since(text: str | None) -> float:
    """A time in UNIX seconds. 0 without one. Raises `CommandRefused`."""
    try:
        seconds = float(text or 0.0)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise CommandRefused(400, f"since is {(text or '')[:20]!a}: write a time in UNIX seconds")
    return seconds
