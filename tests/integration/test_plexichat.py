"""The ready configuration for a PlexiChat server, as it is shipped, in front of a stand-in for one."""

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import connect

from tests import prepared
from tests.certificates import Authority
from tests.configurations import process
from tests.integration.stage import Site
from tests.integration.upstreams import aiohttp_server, in_thread
from tests.plexichat_settings import plexichat_settings
from tests.programs import PLEXIGATE, plexigate

SHIPPED = Path(__file__).parents[2] / "config" / "plexichat.toml"
MIB = 1 << 20
ATTACHMENT_BYTES = 100 * MIB


def client_ip(request: web.Request) -> str | None:
    """Whom PlexiChat takes for the client when it is configured as the shipped file says (its `get_client_ip`)."""
    told = plexichat_settings()
    if told["api.trust_x_forwarded_for"] and request.remote in told["api.trusted_proxies"]:
        return request.headers["X-Forwarded-For"].split(",")[0].strip()
    return request.remote


async def profile(request: web.Request) -> web.Response:
    """Part of the REST interface: who am I, and from where."""
    return web.json_response({"token": request.headers.get("Authorization"), "from": client_ip(request)})


async def attach(request: web.Request) -> web.Response:
    """Take an attachment in a form, without keeping it."""
    digest, size = hashlib.sha256(), 0
    part = await (await request.multipart()).next()
    assert isinstance(part, aiohttp.BodyPartReader)
    while piece := await part.read_chunk(MIB):
        digest.update(piece)
        size += len(piece)
    return web.json_response({"name": part.filename, "size": size, "sum": digest.hexdigest()}, status=201)


async def media(request: web.Request) -> web.StreamResponse:
    """Give an attachment back."""
    response = web.StreamResponse(headers={"Content-Length": str(ATTACHMENT_BYTES)})
    await response.prepare(request)
    for _ in range(ATTACHMENT_BYTES // MIB):
        await response.write(bytes(MIB))
    return response


async def gateway(request: web.Request) -> web.WebSocketResponse:
    """The gateway: hello, heartbeats, events."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"op": "hello", "heartbeat_interval": 41_250})
    async for message in socket:
        event = json.loads(message.data)
        await socket.send_json({"op": "ack", "of": event["op"]})
    return socket


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The shipped file, with the places changed that it says are to be changed, and ports that are free."""
    directory = tmp_path_factory.mktemp("plexichat")
    authority = Authority(directory)
    authority.issue("chat.example.org", ("chat.example.org", "localhost"))

    def application():  # type: ignore[no-untyped-def]
        return aiohttp_server(
            web.get("/api/v1/users/@me", profile),
            web.post("/api/v1/channels/1/attachments", attach),
            web.get("/media/{name}", media),
            web.get("/gateway", gateway),
        )

    with in_thread(application) as port:
        text = SHIPPED.read_text()
        for said, here in (
            ('["0.0.0.0:443", "[::]:443"]', '"127.0.0.1:0"'),
            ('"http://127.0.0.1:8000"', f'"http://127.0.0.1:{port}"'),
            ('chat.example.org"]', 'localhost"]'),
            ('host = "chat.example.org"', 'host = "localhost"'),
        ):
            assert said in text
            text = text.replace(said, here)
        configuration = directory / "plexichat.toml"
        configuration.write_text(process(configuration.with_suffix(".sock")) + text)
        assert prepared.run([PLEXIGATE, "check", str(configuration)]).returncode == 0
        with plexigate(configuration) as running:
            yield Site(running, authority.path, configuration)


def test_rest(proxy: Site) -> None:
    claim = ("--header", "Authorization: Bearer abc", "--header", "X-Forwarded-For: 198.51.100.1")
    answer = json.loads(proxy.curl("--interface", "127.0.0.5", *claim, path="/api/v1/users/@me").stdout)
    assert answer == {"token": "Bearer abc", "from": "127.0.0.5"}, "neither the proxy nor what the client claims"


async def test_gateway(proxy: Site) -> None:
    context = ssl.create_default_context(cafile=str(proxy.ca))
    async with connect(proxy.url("/gateway", scheme="wss"), ssl=context, proxy=None) as socket:
        assert json.loads(await socket.recv())["op"] == "hello"
        for number in range(100):
            await socket.send(json.dumps({"op": "heartbeat", "d": number}))
            assert json.loads(await socket.recv()) == {"op": "ack", "of": "heartbeat"}


def test_attachment_of_100_megabytes(proxy: Site, tmp_path: Path) -> None:
    path = tmp_path / "attachment.bin"
    with path.open("wb") as file:
        for number in range(100):
            file.write(bytes((number,)) * MIB)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    small = tmp_path / "small.bin"
    small.write_bytes(bytes(MIB))
    # pages that are read for the first time count, too
    proxy.curl("--form", f"file=@{small}", path="/api/v1/channels/1/attachments")
    proxy.forget_peak()
    before = proxy.resident_bytes
    completed = proxy.curl("--form", f"file=@{path}", path="/api/v1/channels/1/attachments")
    assert json.loads(completed.stdout) == {"name": "attachment.bin", "size": ATTACHMENT_BYTES, "sum": expected}
    completed = proxy.curl("--output", str(path), path="/media/attachment.bin")
    assert completed.returncode == 0, completed.stderr
    assert path.stat().st_size == ATTACHMENT_BYTES
    assert proxy.peak_bytes - before < 2 * MIB


@pytest.mark.parametrize(("path", "size"), [("/api/v1/large", 102 * MIB), ("/media/x", 2 * MIB), ("/gateway/x", 1)])
def test_more_is_refused_before_the_server_sees_it(proxy: Site, tmp_path: Path, path: str, size: int) -> None:
    upload = tmp_path / "upload"
    with upload.open("wb") as file:
        file.truncate(size)
    completed = proxy.curl("--request", "POST", "--upload-file", str(upload), "--write-out", "%{http_code}", path=path)
    assert completed.stdout.endswith(b"413"), completed.stderr
    assert proxy.record(path)["upstream"] is None
