"""A door of the admin server over real sockets, and peers at it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from proxy.admin.door import Door
from proxy.admin.door_places import DoorPlaces, RoomLimits
from proxy.admin.visit import Visit
from proxy.observe.events.event import Event
from tests.waiting import until_seen

REQUEST = b"GET / HTTP/1.1\r\nHost: plexigate\r\n\r\n"
FEW = RoomLimits(most=4, share=4, when_short=2, answer_seconds=None, grace_seconds=0.0)
# Long enough for a request on loopback, short enough to wait for.
HASTY = replace(FEW, head_seconds=0.2, linger_seconds=0.2)
LARGE = 32 * 1_048_576


@web.middleware
async def staged(request: web.Request, handler: Any) -> web.StreamResponse:
    """What `server` does."""
    visit = request.protocol
    assert isinstance(visit, Visit)
    visit.asked()
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    finally:
        visit.answered()


Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Case:
    """A door, the room behind it, and peers."""

    def __init__(self, room: DoorPlaces, connect: Callable[[], Awaitable[Peer]], errors: list[BaseException]) -> None:
        self.room = room
        self.connect = connect
        self.errors = errors
        self.goes_on = asyncio.Event()
        self.visits: list[Visit] = []
        """Those that have asked."""
        self.told: list[str] = []
        self.when_told: Callable[[], object] = lambda: None
        self.address: Any = None
        self.peers: list[Peer] = []
        self.is_short = False

    async def peer(self, sent: bytes = b"") -> Peer:
        """One more, which has got in."""
        before = self.room.sent_away + len(self.room)
        self.peers.append(await self.connect())
        self.peers[-1][1].write(sent)
        await until_seen(lambda: self.room.sent_away + len(self.room) > before)
        return self.peers[-1]

    async def served(self, peer: Peer, request: bytes = REQUEST) -> bytes:
        """The head of an answer."""
        peer[1].write(request)
        return await peer[0].readuntil(b"\r\n\r\n")

    async def refused(self, peer: Peer) -> None:
        """Wait for a connection to be ended without a word."""
        with suppress(ConnectionResetError):
            assert await peer[0].read() == b""


@asynccontextmanager
async def door(
    limits: RoomLimits = FEW, path: Path | None = None, users: frozenset[int] | None = None
) -> AsyncIterator[Case]:
    """One that is open; nothing of it is left."""
    errors: list[BaseException] = []
    made: list[Case] = []
    sock = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
    sock.bind(("127.0.0.1", 0) if path is None else str(path))
    sock.listen(64)
    sock.settimeout(0)
    address: Any = sock.getsockname()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert isinstance(request.protocol, Visit)
        made[0].visits.append(request.protocol)
        if request.path.startswith("/watch"):
            request.protocol.watches()
        if request.path in {"/slow", "/watch"}:
            await made[0].goes_on.wait()
        return web.Response(body=bytes(LARGE if "large" in request.path else 3))

    async def connect() -> Peer:
        if path is None:
            return await asyncio.open_connection(*address)
        return await asyncio.open_unix_connection(address)

    application = web.Application(middlewares=[staged])
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None

    def tell(event: Event) -> None:
        made[0].told.append(f"{event.event}: {event.sentence()}")
        made[0].when_told()

    room = DoorPlaces("a room", limits, lambda: made[0].is_short, tell)
    made.append(Case(room, connect, errors))
    made[0].address = address
    opened = Door(sock, room, runner.server, errors.append, users)
    try:
        yield made[0]
    finally:
        await opened.close()
        await runner.cleanup()
        for _, writer in made[0].peers:
            writer.transport.abort()
    async with asyncio.timeout(10):
        await until_seen(lambda: not len(room))
    assert errors == []
