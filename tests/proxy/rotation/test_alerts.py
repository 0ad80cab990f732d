"""Somebody is told, or at least that nobody could be told."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from proxy.observe.events.certificates import RevocationFailed
from proxy.rotation.alerts import Alerts
from tests.rotations import Owner

EVENT = RevocationFailed("chat", "ec", "the CA is down")
FACTS = {"event": "revocation_failed", "identity": "chat", "credential": "ec", "detail": "the CA is down"}


async def sent(command: tuple[str, ...] = (), webhook: str | None = None) -> list[dict[str, str]]:
    """Send; answers what could not be sent."""
    owner = Owner()
    await Alerts(asyncio.get_running_loop(), owner.tell).send(EVENT, command, webhook)
    return owner.told("alert_failed")


@asynccontextmanager
async def receiver(status: int, bodies: list[object]) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response(status=status)

    application = web.Application()
    application.router.add_post("/secret-path", take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/secret-path"
    finally:
        await runner.cleanup()


async def test_a_program_gets_the_facts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"import sys, pathlib; pathlib.Path({str(out)!r}).write_bytes(sys.stdin.buffer.read())"
    assert await sent((sys.executable, "-c", program)) == []
    assert json.loads(out.read_bytes()) == FACTS


async def test_a_program_that_fails_or_is_not_there_is_told() -> None:
    (failed,) = await sent((sys.executable, "-c", "raise SystemExit(3)"))
    assert failed["detail"] == "it ended with 3"
    (missing,) = await sent(("/nowhere/alert",))
    assert (missing["to"], missing["detail"]) == ("/nowhere/alert", "No such file or directory")


async def test_a_webhook_gets_the_facts() -> None:
    bodies: list[object] = []
    async with receiver(204, bodies) as address:
        assert await sent(webhook=address) == []
    assert bodies == [FACTS]


async def test_a_webhook_that_refuses_or_is_not_there_is_told_without_its_path() -> None:
    async with receiver(500, []) as address:
        (refused,) = await sent(webhook=address)
    (gone,) = await sent(webhook=address)
    assert refused["detail"] == "it answered with status 500"
    assert "secret-path" not in json.dumps([refused, gone])
