"""How the admin server accepts connections: few at a time, and each for a short time.

Theory of operation. The TCP socket has no password, and it belongs to the process that leads the
workers and needs its descriptors for them. So `Door` accepts connections instead of the event loop.
For each one, `DoorPlaces` first decides which connection makes room for it (`visitors`).

The Unix socket also has a spare descriptor, and so accepts an operator when the process has no
other descriptor left.
"""

import asyncio
import errno
import os
import socket
from typing import Any, Final

from aiohttp import web

from proxy.admin.door_places import DoorPlaces
from proxy.admin.listening import peer_credentials
from proxy.admin.visit import Report, Visit
from proxy.admin.visitors import Visitor
from proxy.limits.networks import network_of
from proxy.net.tasks import Tasks

# Connections that are accepted before other tasks of the loop run.
_ACCEPTED_AT_ONCE: Final = 16
# When the system has no descriptor or memory for a connection: soon enough for a client that waits.
_PAUSE_SECONDS: Final = 0.1
_FROM_THE_PEER: Final = frozenset({errno.ECONNABORTED, errno.EAGAIN, errno.EINTR, errno.EPROTO})


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
        """Take over a listening socket and accept at once. `report` gets internal errors.

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
        return self._sock.fileno()

    def rest(self) -> None:
        """Accept nothing for now. Connections that are there continue."""
        if self._pause is not None:
            self._pause.cancel()
        self._pause = None
        self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    async def close(self) -> None:
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
        self._room.take_in(visitor, visit.send_away)
        sock.settimeout(0)
        self._tasks.start(self._serve(visit, sock))

    async def _serve(self, visit: Visit, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: visit, sock)
        except BaseException as error:
            self._room.left(visit.visitor)
            sock.close()
            if not isinstance(error, OSError):  # OSError: the peer has gone meanwhile
                raise
