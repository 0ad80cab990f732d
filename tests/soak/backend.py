"""What stands behind the proxy in the long proofs: answers requests and echoes WebSocket messages, in a process of its own.

`python -m tests.soak.backend` prints its port, on which it listens at two addresses: one server can drain while the other serves. Every answer repeats the path that was asked for, so that a mixed-up one is seen; /large/COUNT is answered with so many octets, /late/COUNT after so many milliseconds.
"""

import asyncio
import socket

from aiohttp import WSMsgType, web

_PIECE_BYTES = 65_536


async def _echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def _large(request: web.Request, size: int) -> web.StreamResponse:
    """Answer with so many octets, a piece after the other, so that six hundred of them at once are no memory here."""
    if (
        request.transport is not None
    ):  # so little that to fill it for hundreds is not a work that honest clients would notice
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE_BYTES)
    response = web.StreamResponse(headers={"Content-Length": str(size)})
    await response.prepare(request)
    for start in range(0, size, _PIECE_BYTES):
        await response.write(bytes(min(_PIECE_BYTES, size - start)))
    return response


async def _answer(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade") == "websocket":
        return await _echo(request)
    if request.path.startswith("/large/"):
        return await _large(request, int(request.path.rpartition("/")[2]))
    if request.path.startswith("/late/"):
        await asyncio.sleep(int(request.path.rpartition("/")[2]) / 1_000)
    body = await request.read()
    return web.Response(text=f"{request.path} {len(body)} {'.' * 500}")


async def _started() -> web.Application:
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", _answer)
    return application


def main() -> None:
    """Serve until a signal ends it."""

    async def run() -> None:
        runner = web.AppRunner(await _started(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        await web.TCPSite(runner, "127.0.0.2", port).start()
        print(f"backend: ready on {port}", flush=True)  # noqa: T201 - how its starter learns the port
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
