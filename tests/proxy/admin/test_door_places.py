"""How many connections to the admin server there may be."""

import asyncio
import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.admin.door_places import LOCAL, OVER_TCP
from proxy.admin.visitors import Stage
from tests.proxy.admin.doors_world import FEW, REQUEST, door
from tests.waiting import until_seen


@pytest.fixture(params=["tcp", "unix"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Either kind of socket."""
    return None if request.param == "tcp" else tmp_path / "door.sock"


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

    async def test_nor_where_this_process_is_held_up_before_it_reads(self) -> None:
        """For longer than a connection keeps its place: as when the process starts a worker, or a busy machine stops it."""
        async with door(replace(FEW, grace_seconds=0.05)) as case:
            for _ in range(4):
                await case.peer()
            case.when_told = lambda: asyncio.get_running_loop().call_soon(time.sleep, 0.2)
            with ExitStack() as opened:
                asking, *silent = [opened.enter_context(socket.socket()) for _ in range(8)]
                for sock in (asking, *silent):
                    sock.connect(case.address)
                    if sock is asking:
                        sock.send(REQUEST)
                    sock.settimeout(0)
                assert (await asyncio.get_running_loop().sock_recv(asking, 100)).startswith(b"HTTP/1.1 200 ")

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

    def test_limits_are_in_proportion(self) -> None:
        for limits in (OVER_TCP, LOCAL):
            assert limits.when_short <= limits.share <= limits.most
            assert limits.head_seconds <= limits.linger_seconds
