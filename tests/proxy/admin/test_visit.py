"""One connection to the admin server: for how long, and what it may send."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.admin.visitors import Stage
from tests.proxy.admin.doors_world import HASTY, LARGE, REQUEST, door
from tests.waiting import until_seen


@pytest.fixture(params=["tcp", "unix"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Either kind of socket."""
    return None if request.param == "tcp" else tmp_path / "door.sock"


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
        async with door(replace(HASTY, head_seconds=30.0, linger_seconds=30.0), path) as case:
            peer = await case.peer()
            await case.served(peer, REQUEST.replace(b"/ ", b"/large ", 1))
            assert len(await peer[0].readexactly(LARGE)) == LARGE

    async def test_answer_that_is_long_in_the_making_has_its_limit_or_none(self) -> None:
        slow = REQUEST.replace(b"/ ", b"/slow ", 1)
        async with door(replace(HASTY, answer_seconds=0.2)) as case:
            await case.refused(await case.peer(slow))
        async with door(HASTY) as case:
            peer = await case.peer(slow)
            await until_seen(lambda: case.visits and case.visits[0].visitor.stage is Stage.ASKING)
            assert case.visits[0]._timer is None
            case.goes_on.set()
            assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    async def test_page_that_watches_has_no_limit_where_other_answers_have_one(self) -> None:
        async with door(replace(HASTY, answer_seconds=0.2)) as case:
            peer = await case.peer(REQUEST.replace(b"/ ", b"/watch ", 1))
            await until_seen(lambda: case.visits and case.visits[0].visitor.stage is Stage.WATCHING)
            assert case.visits[0]._timer is None
            case.goes_on.set()
            assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    async def test_page_that_does_not_read_is_ended(self, path: Path | None) -> None:
        async with door(HASTY, path) as case:
            await case.peer(REQUEST.replace(b"/ ", b"/watch-large ", 1))
            await until_seen(lambda: not len(case.room))

    async def test_page_that_reads_is_not_ended(self, path: Path | None) -> None:
        async with door(replace(HASTY, head_seconds=30.0, linger_seconds=30.0), path) as case:
            peer = await case.peer()
            await case.served(peer, REQUEST.replace(b"/ ", b"/watch-large ", 1))
            assert len(await peer[0].readexactly(LARGE)) == LARGE


class TestNoRequest:
    """What is not HTTP."""

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
