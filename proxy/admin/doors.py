"""How the admin server accepts connections: few at a time, and each for a short time.

Theory of operation. The TCP socket has no password, and it belongs to the process that leads the
workers and needs its descriptors for them. So `Door` accepts connections instead of the event loop.
For each one, `DoorPlaces` first decides which connection makes room for it (`visitors`).

A connection has one deadline at a time: first to send a complete request, then to read its answer
and to ask again. Sending octets does not extend a deadline. `page.open_pages` ends that of a page.

The Unix socket has its own room, so that strangers on TCP do not keep an operator out. It also has
a spare descriptor, and so accepts an operator when the process has no other descriptor left.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy.admin.listening import peer_credentials
from proxy.admin.problems import problem
from proxy.admin.visitors import Stage, Visitor, who_goes
from proxy.limits.networks import network_of
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.process import AdminCrowded

# A request has some hundred octets: an honest client has sent them by now.
HEAD_SECONDS: Final = 5.0
# After an answer: to read the rest of it, and to ask again. Monitoring that comes every 15 seconds,
# as most does, keeps its connection.
LINGER_SECONDS: Final = 20.0
# For the body of a request, which is read and dropped.
_BODY_SECONDS: Final = 1.0
# A new connection keeps its place for so long, even if many others come: a request arrives with its
# connection or a moment later. A full room of 32 still accepts 1,600 connections a second. Further
# ones wait in the kernel.
_GRACE_SECONDS: Final = 0.02
# Connections that are accepted before other tasks of the loop run.
_ACCEPTED_AT_ONCE: Final = 16
# When the system has no descriptor or memory for a connection: soon enough for a client that waits.
_PAUSE_SECONDS: Final = 0.1
_QUIET_SECONDS: Final = 60.0
_FROM_THE_PEER: Final = frozenset({errno.ECONNABORTED, errno.EAGAIN, errno.EINTR, errno.EPROTO})

Report = Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How many connections there may be at a time: `most` of all peers, `share` of one.

    If `answer_seconds` is None, an answer may take as long as it needs.
    """

    most: int
    share: int
    when_short: int
    """Replaces `most` while descriptors are short."""
    answer_seconds: float | None
    head_seconds: float = HEAD_SECONDS
    linger_seconds: float = LINGER_SECONDS
    grace_seconds: float = _GRACE_SECONDS


# A monitoring system has one or two connections, and a load balancer has one. So there is room for
# more than a dozen of them, and none of them needs more than a quarter of it. An answer is made
# within three seconds (`control.scrape`), and read in less than that.
OVER_TCP: Final = RoomLimits(most=32, share=8, when_short=2, answer_seconds=30.0)
# All connections are of one user, or root. A script may ask many things at once. A reload takes
# minutes, and so does a rotation that tells its steps.
LOCAL: Final = RoomLimits(most=32, share=32, when_short=8, answer_seconds=None)

# At the other end are our workers: each has a viewer for every connection, who showed a token.
PAGE: Final = RoomLimits(most=64, share=16, when_short=4, answer_seconds=30.0)


class DoorPlaces:
    """The connections of one socket kind: TCP or Unix."""

    def __init__(self, name: str, limits: RoomLimits, is_short: Callable[[], bool], tell: Tell) -> None:
        """The places begin empty.

        The log calls them `name`. `is_short` says whether descriptors are short.
        """
        self.limits = limits
        self._name = name
        self._is_short = is_short
        self._tell = tell
        self._present: dict[Visitor, Visit] = {}
        self._told_at: float | None = None
        self.sent_away = 0
        """How many connections had to make room so far."""

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._present)

    def wait(self, now: float) -> float:
        """Seconds until a connection may have to make room for a newcomer.

        A connection that has just come stays until its request could be read.
        """
        if len(self._present) < (self.limits.when_short if self._is_short() else self.limits.most):
            return 0.0
        silent = [one.since for one in self._present if one.stage is Stage.SILENT]
        return max(0.0, min(silent) + self.limits.grace_seconds - now) if silent else 0.0

    def has_room_for(self, newcomer: Visitor) -> bool:
        """Make room, if need be by closing another connection. Tells whether there is room."""
        most = self.limits.when_short if self._is_short() else self.limits.most
        while (victim := who_goes(self._present, newcomer, most, self.limits.share)) is not None:
            self._crowded(newcomer.since)
            if victim is newcomer:
                return False
            self._present.pop(victim).send_away()
        return True

    def take_in(self, visit: "Visit") -> None:
        """Add a connection. There is room for it."""
        self._present[visit.visitor] = visit

    def left(self, visit: "Visit") -> None:
        """A connection is gone."""
        self._present.pop(visit.visitor, None)

    def _crowded(self, now: float) -> None:
        self.sent_away += 1
        if self._told_at is not None and now < self._told_at + _QUIET_SECONDS:
            return
        self._told_at = now
        self._tell(AdminCrowded(self._name, len(self), self.sent_away))


class Visit(RequestHandler):
    """One connection with its deadline. aiohttp reads its requests and writes the answers."""

    def __init__(self, server: web.Server, room: DoorPlaces, visitor: Visitor, report: Report) -> None:
        """`report` gets errors of ours."""
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
        """Its answer is on its way."""
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
        """Begin."""
        super().connection_made(transport)
        if self._is_sent_away:
            self.send_away()
        else:
            self._set_deadline(self._room.limits.head_seconds)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._set_deadline(None)
        self._room.left(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read its long answer: this has a limit even if the answer has none."""
        super().pause_writing()
        if self._timer is None and not self._is_sent_away:
            self._set_deadline(self._room.limits.linger_seconds)

    def resume_writing(self) -> None:
        """The peer reads again."""
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
        """Answer octets that are no HTTP request.

        aiohttp itself would log them with a traceback, and answer plain text.
        """
        if status >= 500 and exc is not None:
            self._report(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        detail = (message or "no request of HTTP/1.1").strip().partition("\n")[0].rstrip(": ")
        response = problem(status, detail if status < 500 else "an error of ours, see the log")
        response.force_close()
        return response

    def log_exception(self, *_: Any, **facts: Any) -> None:
        """Report an error that aiohttp found in itself."""
        error = facts.get("exc_info")
        if isinstance(error, Exception):
            self._report(error)

    def log_debug(self, *_: Any, **__: Any) -> None:
        """Log nothing: the proxy has its own log."""


class Door:
    """Accepts the connections of a listening socket into a room."""

    def __init__(
        self,
        sock: socket.socket,
        room: DoorPlaces,
        server: web.Server,
        report: Report,
        users: frozenset[int] | None = None,
    ) -> None:
        """Take over a listening socket and accept at once. `report` gets errors of ours.

        Of a Unix socket that every user may connect to, `users` are those that are let in.
        """
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._room = room
        self._server = server
        self._report = report
        self._users = users
        self._tasks = Tasks(self._loop, report)
        self._pause: asyncio.TimerHandle | None = None
        self._is_local = sock.family == socket.AF_UNIX
        self._in_store = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if self._is_local else -1
        self._loop.add_reader(sock, self._accept)

    def fileno(self) -> int:
        """The listening socket."""
        return self._sock.fileno()

    def rest(self) -> None:
        """Accept nothing for now. Connections that are there go on."""
        if self._pause is not None:
            self._pause.cancel()
        self._pause = None
        self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Accept again."""
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    async def close(self) -> None:
        """Stop accepting."""
        self.rest()
        self._sock.close()
        if self._in_store >= 0:
            os.close(self._in_store)
        await self._tasks.cancel_all()

    def _accept(self) -> None:
        self._refill()
        for _ in range(_ACCEPTED_AT_ONCE):
            if wait := self._room.wait(self._loop.time()):
                self._rest(wait)
                return
            try:
                sock, address = self._sock.accept()
            except OSError as error:
                if error.errno in _FROM_THE_PEER:
                    return
                if self._in_store < 0:
                    self._rest(_PAUSE_SECONDS)
                    return
                os.close(self._in_store)
                self._in_store = -1
                continue
            self._take(sock, address)

    def _refill(self) -> None:
        if self._is_local and self._in_store < 0:
            try:
                self._in_store = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return  # the spare descriptor was of use just now, and will be again

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(seconds, self.resume)

    def _take(self, sock: socket.socket, address: Any) -> None:
        process, user = peer_credentials(sock) if self._is_local else (0, 0)
        if self._users is not None and user not in self._users:
            sock.close()
            return
        peer = b"%d" % process if self._is_local else network_of(address[0].partition("%")[0])
        visitor = Visitor(peer, self._loop.time())
        if not self._room.has_room_for(visitor):
            sock.close()
            return
        visit = Visit(self._server, self._room, visitor, self._report)
        self._room.take_in(visit)
        sock.settimeout(0)
        self._tasks.start(self._serve(visit, sock))

    async def _serve(self, visit: Visit, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: visit, sock)
        except BaseException as error:
            self._room.left(visit)
            sock.close()
            if not isinstance(error, OSError):  # OSError: the peer has gone meanwhile
                raise
