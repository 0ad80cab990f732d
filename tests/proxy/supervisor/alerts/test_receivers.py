"""Receivers take a message, or say why not, and never show what is secret."""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from config.values.webhook import Webhook
from proxy.supervisor.alerts.receivers import NotDelivered, ProgramReceiver, Receiver, WebhookReceiver

BODY = b'{"kind": "test"}\n'


async def fault(receiver: Receiver) -> str | None:
    """Send; answers why that failed."""
    try:
        await receiver.take(BODY)
    except NotDelivered as error:
        return str(error)
    return None


def program(code: str, seconds: float = 30.0) -> ProgramReceiver:
    return ProgramReceiver((sys.executable, "-c", code), seconds)


@asynccontextmanager
async def web_server(status: int, bodies: list[object], seconds: float = 0.0) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        bodies.append(await request.json() if request.method == "POST" else request.method)
        return web.Response(status=status, headers={"Location": "/secret-path"} if status == 302 else {})

    application = web.Application()
    application.router.add_route("*", "/secret-path", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/secret-path"
    finally:
        await runner.cleanup()


def webhook(address: str, seconds: float = 30.0) -> WebhookReceiver:
    return WebhookReceiver(asyncio.get_running_loop(), Webhook(address), seconds)


async def test_a_program_gets_the_message(tmp_path: Path) -> None:
    out = tmp_path / "out"
    receiver = program(f"import sys, pathlib; pathlib.Path({str(out)!r}).write_bytes(sys.stdin.buffer.read())")
    assert await fault(receiver) is None
    assert out.read_bytes() == BODY
    assert (receiver.kind, receiver.name) == ("command", sys.executable)


async def test_a_program_may_end_before_it_could_be_written_to() -> None:
    async def standing_still() -> None:
        """Keep the loop until the program has ended."""
        while True:
            await asyncio.sleep(0)
            with suppress(ChildProcessError):  # it is not there yet
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - this is meant to block
                return

    for body in (BODY, BODY * 10_000):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(standing_still())
            await program("").take(body)


async def test_a_program_that_fails_is_not_there_or_does_not_end() -> None:
    assert await fault(program("raise SystemExit(3)")) == "it ended with 3"
    assert await fault(ProgramReceiver(("/nowhere/alert",))) == "No such file or directory"
    assert await fault(program("import time; time.sleep(60)", 0.5)) == "it did not end within 0.5 s"


async def test_a_program_without_a_descriptor_for_the_message_is_told() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        assert await fault(program("")) == "Too many open files"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_webhook_gets_the_message() -> None:
    bodies: list[object] = []
    async with web_server(204, bodies) as address:
        receiver = webhook(address)
        assert await fault(receiver) is None
        assert (receiver.kind, f"http://{receiver.name}/secret-path") == ("webhook", address)
    assert bodies == [json.loads(BODY)]


async def test_a_webhook_that_refuses_is_away_or_is_silent_is_told_without_its_path() -> None:
    async with web_server(500, []) as address:
        assert await fault(webhook(address)) == "it answered with status 500"
    assert await fault(webhook(address)) == "Connection refused"
    async with web_server(204, [], 5.0) as slow:
        assert "secret-path" not in str(await fault(webhook(slow, 0.2)))


async def test_a_server_of_something_else_at_the_address_is_told() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        writer.write(b"220 mail.test ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await fault(webhook(f"http://127.0.0.1:{port}/secret-path")) == "BadStatusLine"


async def test_a_redirect_is_a_failure_and_not_a_get_that_succeeds() -> None:
    bodies: list[object] = []
    async with web_server(302, bodies) as address:
        assert await fault(webhook(address)) == "it answered with status 302"
    assert bodies == [json.loads(BODY)]


async def test_a_host_without_an_address_is_told() -> None:
    found = await fault(webhook("http://no-such-host.invalid/secret-path"))
    assert found is not None
    assert "secret-path" not in found


@pytest.mark.parametrize("receiver", [ProgramReceiver(("page", "--token=secret"))])
async def test_arguments_are_not_shown(receiver: ProgramReceiver) -> None:
    assert receiver.name == "page"
