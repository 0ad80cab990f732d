"""Connections to the admin server, over real sockets: how many there may be, and for how long."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.admin.doors import LOCAL, OVER_TCP, Door, DoorPlaces, RoomLimits, Visit
from proxy.admin.visitors import Stage
from tests.descriptors import no_descriptors
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
        self.told: list[str] = []
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
        if request.path.startswith("/watch"):
            assert isinstance(request.protocol, Visit)
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
    told: list[str] = []
    room = DoorPlaces(
        "a room", limits, lambda: made[0].is_short, lambda event: told.append(f"{event.event}: {event.sentence()}")
    )
    made.append(Case(room, connect, errors))
    made[0].told = told
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


@pytest.fixture(params=["tcp", "unix"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Either kind of socket."""
    return None if request.param == "tcp" else tmp_path / "door.sock"


class TestWho:
    """Of a Unix socket to which every user may connect."""

    async def test_only_the_given_users_are_let_in(self, tmp_path: Path) -> None:
        own = os.geteuid()
        async with door(path=tmp_path / "own.sock", users=frozenset({own})) as case:
            assert (await case.served(await case.peer())).startswith(b"HTTP/1.1 200")
        async with door(path=tmp_path / "other.sock", users=frozenset({own + 1})) as case:
            stranger = await case.connect()
            await case.refused(stranger)
            assert len(case.room) == 0
            stranger[1].close()


class TestHowMany:
    """At a time."""

    async def test_whoever_asks_gets_an_answer_however_many_are_silent(self, path: Path | None) -> None:
        async with door(path=path) as case:
            silent = [await case.peer(b"GET / HTTP/1.1\r\nX: ") for _ in range(20)]
            assert len(case.room) == 4
            for _ in range(3):
                assert (await case.served(await case.peer())).startswith(b"HTTP/1.1 200 ")
            await case.refused(silent[0])
            assert len(case.room) == 4
            assert case.room.sent_away == 19
            assert case.told == [
                "admin_crowded: a room has 4 connections: each new one replaces an older one, first those without a request; "
                "1 were closed so far"
            ]

    async def test_connection_that_has_just_come_makes_no_room_before_its_request_is_read(self) -> None:
        async with door(replace(FEW, grace_seconds=0.5)) as case:
            silent = [await case.peer() for _ in range(4)]
            newest = await case.connect()
            case.peers.append(newest)
            newest[1].write(REQUEST)
            assert (await case.served(silent[0])).startswith(b"HTTP/1.1 200")
            assert case.room.sent_away == 0, "the newest waits in the kernel"
            assert (await newest[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert case.room.sent_away == 1

    async def test_an_answer_under_way_is_the_last_to_go(self) -> None:
        async with door() as case:
            asking = [await case.peer(REQUEST.replace(b"/ ", b"/slow ", 1)) for _ in range(3)]
            await until_seen(lambda: [one.stage for one in case.room._present].count(Stage.ASKING) == 3)
            for _ in range(20):
                await case.peer()
            case.goes_on.set()
            for reader, _ in asking:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    async def test_there_are_fewer_while_descriptors_are_short(self) -> None:
        async with door() as case:
            for _ in range(4):
                await case.peer()
            case.is_short = True
            await case.peer()
            assert len(case.room) == 2

    async def test_the_share_of_an_address_is_not_all(self) -> None:
        async with door(replace(FEW, share=2)) as case:
            for _ in range(3):
                await case.peer()
            assert len(case.room) == 2

    async def test_what_is_gone_counts_no_more(self, path: Path | None) -> None:
        async with door(path=path) as case:
            reader, writer = await case.peer()
            assert len(case.room) == 1
            writer.close()
            assert await reader.read() == b""
            await until_seen(lambda: not len(case.room))


class TestHowLong:
    """Deadlines."""

    async def test_half_a_request_is_ended_however_it_drips(self, path: Path | None) -> None:
        async with door(HASTY, path) as case:
            began = asyncio.get_running_loop().time()
            reader, writer = await case.peer(b"GET / HTTP/1.1\r\n")
            while not reader.at_eof() and reader.exception() is None:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.01)  # a drip
            assert 0.2 <= asyncio.get_running_loop().time() - began < 2.0

    async def test_idle_connection_is_ended(self) -> None:
        async with door(HASTY) as case:
            peer = await case.peer()
            for _ in range(2):
                assert (await case.served(peer)).startswith(b"HTTP/1.1 200 ")
                assert await peer[0].readexactly(3) == bytes(3)
            await case.refused(peer)

    async def test_answer_that_is_not_read_is_ended(self, path: Path | None) -> None:
        async with door(HASTY, path) as case:
            reader, _ = await case.peer(REQUEST.replace(b"/ ", b"/large ", 1))
            await until_seen(lambda: not len(case.room))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(LARGE)

    async def test_answer_that_is_read_is_not(self, path: Path | None) -> None:
        async with door(replace(HASTY, linger_seconds=30.0), path) as case:
            peer = await case.peer()
            await case.served(peer, REQUEST.replace(b"/ ", b"/large ", 1))
            assert len(await peer[0].readexactly(LARGE)) == LARGE

    async def test_answer_that_is_long_in_the_making_has_its_limit_or_none(self) -> None:
        slow = REQUEST.replace(b"/ ", b"/slow ", 1)
        async with door(replace(HASTY, answer_seconds=0.2)) as case:
            await case.refused(await case.peer(slow))
        async with door(HASTY) as case:
            peer = await case.peer(slow)
            await until_seen(lambda: next(iter(case.room._present)).stage is Stage.ASKING)
            assert next(iter(case.room._present.values()))._timer is None
            case.goes_on.set()
            assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    async def test_page_that_watches_has_no_limit_where_other_answers_have_one(self) -> None:
        async with door(replace(HASTY, answer_seconds=0.2)) as case:
            peer = await case.peer(REQUEST.replace(b"/ ", b"/watch ", 1))
            await until_seen(lambda: next(iter(case.room._present)).stage is Stage.WATCHING)
            assert next(iter(case.room._present.values()))._timer is None
            case.goes_on.set()
            assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    async def test_page_that_does_not_read_is_ended(self, path: Path | None) -> None:
        async with door(HASTY, path) as case:
            await case.peer(REQUEST.replace(b"/ ", b"/watch-large ", 1))
            await until_seen(lambda: not len(case.room))

    async def test_page_that_reads_is_not_ended(self, path: Path | None) -> None:
        async with door(replace(HASTY, linger_seconds=30.0), path) as case:
            peer = await case.peer()
            await case.served(peer, REQUEST.replace(b"/ ", b"/watch-large ", 1))
            assert len(await peer[0].readexactly(LARGE)) == LARGE

    def test_limits_are_in_proportion(self) -> None:
        for limits in (OVER_TCP, LOCAL):
            assert limits.when_short <= limits.share <= limits.most
            assert limits.head_seconds <= limits.linger_seconds


class TestNoRequest:
    """What is no HTTP."""

    @pytest.mark.parametrize(
        ("sent", "detail"),
        [
            (REQUEST.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"), "8190 bytes"),
            (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", ""),
        ],
    )
    async def test_it_is_a_problem_without_a_traceback(
        self, sent: bytes, detail: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        async with door() as case:
            peer = await case.peer()
            head = await case.served(peer, sent)
            assert b" 400 " in head.partition(b"\r\n")[0]
            assert b"Content-Type: application/problem+json" in head
            body = await peer[0].read()
            assert detail in body.decode()
            assert b"Traceback" not in body
        assert caplog.records == []
        assert capfd.readouterr() == ("", "")


class TestNoDescriptors:
    """When this process has none left."""

    async def test_an_operator_gets_in_all_the_same(self, tmp_path: Path) -> None:
        async with door(path=tmp_path / "door.sock") as case:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(0)
            with client, no_descriptors():
                client.connect(str(tmp_path / "door.sock"))
                client.send(REQUEST)
                await until_seen(lambda: len(case.room))
                loop = asyncio.get_running_loop()
                assert (await loop.sock_recv(client, 100)).startswith(b"HTTP/1.1 200 ")
            # and the next time too
            await until_seen(lambda: not len(case.room))
            assert (await case.served(await case.peer())).startswith(b"HTTP/1.1 200 ")
