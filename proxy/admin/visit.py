"""One connection of the admin server: its deadline, and what aiohttp reads and writes on it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy.admin.door_places import DoorPlaces
from proxy.admin.requests.problems import problem
from proxy.admin.visitors import Stage, Visitor

# For the body of a request, which is read and dropped.
_BODY_SECONDS: Final = 1.0

Report = Callable[[BaseException], None]


class Visit(RequestHandler):
    """One connection with its deadline. aiohttp reads its requests and writes the answers."""

    def __init__(self, server: web.Server, room: DoorPlaces, visitor: Visitor, report: Report) -> None:
        without_log: Any = None
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=room.limits.linger_seconds,
            lingering_time=_BODY_SECONDS,
            access_log=without_log,
        )
        self.visitor = visitor
        self._room = room
        self._report = report
        self._timer: asyncio.TimerHandle | None = None
        self._is_sent_away = False

    def send_away(self) -> None:
        """End the connection at once."""
        self._is_sent_away = True
        self._set_deadline(None)
        if self.transport is not None:
            self.transport.abort()

    def asked(self) -> None:
        """A complete request has come."""
        self.visitor.stage = Stage.ASKING
        self._set_deadline(self._room.limits.answer_seconds)

    def watches(self) -> None:
        """Its answer goes on and on, and ends by itself."""
        self.visitor.stage = Stage.WATCHING
        self._set_deadline(None)

    def answered(self) -> None:
        self.visitor.stage = Stage.ANSWERED
        self._set_deadline(self._room.limits.linger_seconds)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self.send_away)

    # -- what the loop and aiohttp call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._is_sent_away:
            self.send_away()
        else:
            self._set_deadline(self._room.limits.head_seconds)
            # The next turn of the loop, in which it has looked whether there is something to read.
            self._loop.call_soon(self._could_ask)

    def _could_ask(self) -> None:
        self._room.could_ask(self.visitor, self._loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        self._set_deadline(None)
        self._room.left(self.visitor)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read its long answer: this has a limit even if the answer has none."""
        super().pause_writing()
        if self._timer is None and not self._is_sent_away:
            self._set_deadline(self._room.limits.linger_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        is_asking = self.visitor.stage is Stage.ASKING and self._room.limits.answer_seconds is None
        if is_asking or self.visitor.stage is Stage.WATCHING:
            self._set_deadline(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer octets that are no HTTP request; aiohttp would log a traceback."""
        if status >= 500 and exc is not None:
            self._report(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        detail = (message or "no request of HTTP/1.1").strip().partition("\n")[0].rstrip(": ")
        response = problem(status, detail if status < 500 else "internal error, see the log")
        response.force_close()
        return response

    def log_exception(self, *_: Any, **facts: Any) -> None:
        """Report an error that aiohttp found in itself."""
        error = facts.get("exc_info")
        if isinstance(error, Exception):
            self._report(error)

    def log_debug(self, *_: Any, **__: Any) -> None:
        """Log nothing: the proxy has its own log."""
