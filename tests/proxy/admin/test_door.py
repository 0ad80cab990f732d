"""Connections to the admin server, over real sockets: who gets in."""

import asyncio
import os
import socket
from pathlib import Path

from tests.descriptors import no_descriptors
from tests.proxy.admin.doors_world import REQUEST, door
from tests.waiting import until_seen


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
