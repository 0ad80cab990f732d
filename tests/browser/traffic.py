"""Mixed traffic for the page of the admin server, to be looked at, and for the picture in the documents.

    python -m tests.browser.traffic [--faults] [--seconds 900]

It starts a proxy with a key in a SoftHSM token, an internal CA, a chat and a small service behind it, and clients of all
kinds: browsers over HTTP/2, programs over HTTP/1.1, WebSockets, clients without post-quantum groups, and hostile ones. It
prints the path of the admin socket; `plexigate page --socket PATH` shows the page. With `--faults` an upstream is down and
the token goes away after a while.
"""

import argparse
import asyncio
import contextlib
import random
import socket
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from aiohttp import web
from websockets.asyncio.client import connect

from tests.browser.demo import DEMO, Site, make_site
from tests.configurations import process
from tests.programs import chat_address, plexigate, program

CONFIGURATION = """
[listener.public]
bind = "127.0.0.1:0"
[listener.strict]
bind = "127.0.0.1:0"
pq = "require"

[identity.demo]
names = ["localhost"]
certificate = "certificates/server.pem"
key = "pkcs11:token=plexi;object=demo.ecdsa-p256.v1"

[identity.chat]
names = ["chat.localhost"]
[[identity.chat.credential]]
key = "ec-p256@file"
issuer = "internal"

[issuer.internal]
type = "internal"
[rotation]
state = "state"

[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
[hsm.token.plexi]
pin_file = "hsm/plexi.pin"

[upstream.chat]
servers = ["http://{chat}"]
[upstream.api]
servers = ["http://{api}", "http://127.0.0.1:9"]
[upstream.files]
servers = ["http://{files}"]

[[route]]
host = "localhost"
upstream = "chat"
[[route]]
host = "localhost"
path = "/api"
upstream = "api"
[[route]]
host = "localhost"
path = "/files"
upstream = "files"
[[route]]
host = "chat.localhost"
upstream = "chat"
"""
HOSTILE = "<img src=x onerror=alert(1)>\"'"
AGENTS = ("OldChat/1.4 (Windows NT 6.1)", "curl/7.68.0", "Java/1.8.0_202", HOSTILE)


async def service(_request: web.Request) -> web.Response:
    """Answer most requests soon, some late, and few with a failure."""
    await asyncio.sleep(random.expovariate(1 / 0.008) if random.random() < 0.97 else 0.3)  # noqa: S311
    return web.Response(status=random.choices((200, 304, 404, 500), (90, 6, 3, 1))[0])  # noqa: S311


async def curl(port: int, *arguments: str, path: str = "/") -> None:
    """A client of its own: each makes a new connection, without a session to resume."""
    command = ("curl", "--silent", "--insecure", "--noproxy", "*", "--max-time", "5", "--output", "/dev/null")
    process = await asyncio.create_subprocess_exec(*command, *arguments, f"https://localhost:{port}{path}")
    await process.wait()


async def raw(port: int, sent: bytes, context: ssl.SSLContext | None = None) -> None:
    """Send octets, and read what comes."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None
    )
    writer.write(sent)
    await asyncio.wait_for(reader.read(500), 2)
    writer.close()


async def chatter(port: int, context: ssl.SSLContext) -> None:
    """Someone who stays in the chat for some time."""
    async with connect(f"wss://localhost:{port}/socket", ssl=context, proxy=None) as connection:
        async with asyncio.timeout(random.uniform(5, 60)):  # noqa: S311
            async for _ in connection:
                pass


def visit_twice(port: int, context: ssl.SSLContext) -> None:
    """A program that comes again, with the ticket of its last visit."""
    session: ssl.SSLSession | None = None
    for _ in range(3):
        with (
            socket.create_connection(("127.0.0.1", port), 5) as sock,
            context.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bot\r\nConnection: close\r\n\r\n")
            while tls.recv(65_536):
                pass
            session = tls.session


async def again_and_again(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do it about every so many seconds, with hours that are busier than others."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(Exception):
            await work()
        busy = 1.0 + 0.7 * (loop.time() % 240 > 120)
        await asyncio.sleep(random.expovariate(busy / seconds))


async def clients(public: int, strict: int, ca: Path) -> None:
    """All of them, until cancelled."""
    context = ssl.create_default_context(cafile=str(ca))
    async with (
        httpx.AsyncClient(
            verify=context, http2=True, trust_env=False, base_url=f"https://localhost:{public}"
        ) as browser,
        httpx.AsyncClient(verify=context, trust_env=False, base_url=f"https://localhost:{public}") as program_,
        asyncio.TaskGroup() as group,
    ):
        work: list[tuple[float, Callable[[], Awaitable[object]]]] = [
            *[(0.05, lambda: browser.get("/"))] * 3,
            *[(0.04, lambda: browser.get("/api/rooms"))] * 3,
            *[(0.05, lambda: program_.get("/api/messages"))] * 3,
            (0.4, lambda: program_.get("/files/picture.png")),
            (0.7, lambda: browser.get("/nowhere")),
            *[(3.0, lambda: chatter(public, context))] * 14,
            (0.6, lambda: asyncio.to_thread(visit_twice, public, context)),
            *[(0.5, lambda: curl(public, "--http2", "--curves", "X25519MLKEM768"))] * 2,
            (1.2, lambda: curl(public, "--curves", "X25519:X25519MLKEM768")),
            (1.5, lambda: curl(public, "--curves", "X25519", "--user-agent", random.choice(AGENTS))),  # noqa: S311
            (4.0, lambda: curl(strict, "--curves", "X25519")),
            (4.0, lambda: curl(strict, "--curves", "X25519MLKEM768")),
            (6.0, lambda: curl(public, "--tls-max", "1.2")),
            (9.0, lambda: raw(public, b"GET / HTTP/1.0\r\n\r\n")),
            (8.0, lambda: raw(public, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: x\r\n\r\n", context)),
            (7.0, lambda: curl(public, "--request", "POST", "--header", f"Host: {HOSTILE}")),
        ]
        for seconds, one in work:
            group.create_task(again_and_again(seconds, one))


async def main(seconds: float, *, has_faults: bool, directory: Path) -> None:
    """Run everything for so long."""
    application = web.Application()
    application.router.add_get("/{path:.*}", service)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = f"127.0.0.1:{runner.addresses[0][1]}"
    site = make_site(directory / "site")
    with program([sys.executable, str(DEMO / "chat.py"), "--bind", "127.0.0.1:0"], chat_address) as chat:
        path = site.directory / "traffic.toml"
        files = "127.0.0.1:9" if has_faults else api
        text = CONFIGURATION.format(chat=chat.ready, api=api, files=files)
        path.write_text(process(path.with_suffix(".sock"), workers=2) + text)
        with plexigate(path, site.environment) as proxy:
            public, strict = (int(proxy.ready[name][0].rpartition(":")[2]) for name in ("public", "strict"))
            sys.stdout.write(f"{path.with_suffix('.sock')}\n")
            sys.stdout.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    group.create_task(clients(public, strict, site.ca))
                    if has_faults:
                        group.create_task(lose_token(site))
    await runner.cleanup()


async def lose_token(site: Site) -> None:
    """After a while, the files of the token are not there any more."""
    await asyncio.sleep(60)
    tokens = site.directory / "hsm" / "tokens"
    tokens.rename(tokens.with_name("lost"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--seconds", type=float, default=900.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plexi-") as scratch:
        asyncio.run(main(options.seconds, has_faults=options.faults, directory=Path(scratch)))
