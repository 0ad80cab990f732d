"""Payload encryption as a whole: a proxy with two workers, a backend that says what it got, clients that lag behind."""

import asyncio
import hashlib
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from aiohttp import web
from cryptography.fernet import Fernet, MultiFernet
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from proxy.admin.client import UnixAdminClient
from proxy.payload.client import PayloadClient, SealedRequest, SessionOffer
from proxy.payload.key_document import PinnedIdentity
from proxy.payload.keys.suites import BUILT_IN
from tests.certificates import Authority, CertificateFiles
from tests.integration.admin import found
from tests.integration.stage import Site, Upstream, serving, write_configuration
from tests.integration.upstreams import aiohttp_server, in_thread

pytestmark = pytest.mark.paced

SETTINGS = """
[payload]
directory = "payload-{name}"
[payload.ring.chat]
overlap = 2
[payload.ring.bound]
bind = true
[payload.ring.plexi]
envelope = "plexichat"
[payload.sessions]
suites = ["MLKEM768-X25519", "MLKEM1024-P384"]
"""
ROUTES = {
    "plain": "",
    "chat": 'payload = "require"\npayload_ring = "chat"\nbody_bytes = 200_000_000\npayload_origins = ["https://page.test"]',
    "open": 'payload = "accept"\npayload_ring = "chat"',
    "bound": 'payload = "require"\npayload_ring = "bound"\npayload_websocket = true',
    "plexi": 'payload = "require"\npayload_ring = "plexi"',
    "session": 'payload = "require"\npayload_sessions = true\nbody_bytes = 200_000_000\npayload_websocket = true',
}
NOW = time.time  # noqa: TID251 - clients beside a proxy that has the real clock too
MIB = 1 << 20
PIECE = bytes(range(256)) * 4_096


async def told(request: web.Request) -> web.StreamResponse:
    """Say what came, and how; `?size=N` asks for so many octets instead."""
    if request.headers.get("Upgrade") == "websocket":
        return await echoed(request)
    if "size" in request.query:
        return web.Response(
            body=bytes(int(request.query["size"])), headers={"ETag": '"1"', "Cache-Control": "max-age=9"}
        )
    digest, count = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        count += len(piece)
    headers = {name.lower(): value for name, value in request.headers.items()}
    answer = {"method": request.method, "headers": headers, "count": count, "sha256": digest.hexdigest()}
    return web.json_response(answer, headers={"Access-Control-Allow-Origin": "https://page.test"})


async def echoed(request: web.Request) -> web.WebSocketResponse:
    """An echoing WebSocket; `close` ends it."""
    ws = web.WebSocketResponse(protocols=("chat",))
    await ws.prepare(request)
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            await ws.send_str(message.data.upper())
        else:
            await ws.send_bytes(message.data[::-1])
    return ws


def backend() -> AbstractAsyncContextManager[int]:
    return aiohttp_server(web.route("*", "/{path:.*}", told))


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory, localhost: CertificateFiles) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("payload")
    with in_thread(backend) as port:
        upstreams = {name: Upstream((f"http://127.0.0.1:{port}",), route=route) for name, route in ROUTES.items()}
        yield write_configuration(directory, localhost, upstreams, SETTINGS.format(name="a"), workers=2)


@pytest.fixture(scope="module")
def proxy(configuration: Path, authority: Authority) -> Iterator[Site]:
    with serving(configuration, authority) as running:
        yield running


@pytest.fixture
def session(proxy: Site) -> Iterator[requests.Session]:
    with proxy.session() as session:
        yield session


def admin(proxy: Site) -> UnixAdminClient:
    return UnixAdminClient(proxy.configuration.with_suffix(".sock"))


def exported(proxy: Site, ring: str) -> Any:
    status, document = admin(proxy).get(f"/payload/{ring}/export")
    assert status == 200, document
    return document


def change(proxy: Site, path: str) -> Any:
    status, document = admin(proxy).post(f"/payload/{path}", {})
    assert status == 200, document
    return document


def of_ring(proxy: Site, ring: str) -> PayloadClient:
    return PayloadClient.of_ring(exported(proxy, ring), NOW)


def of_session(proxy: Site, session: requests.Session, suite: str) -> PayloadClient:
    pinned = PinnedIdentity.from_json(admin(proxy).get("/payload-identity")[1])
    document = session.get(proxy.url("/.well-known/payload-keys")).content
    offer = SessionOffer.to(document, pinned, NOW(), {suite: BUILT_IN[suite]})
    answer = session.post(proxy.url("/.well-known/payload-sessions"), data=offer.body)
    assert answer.status_code == 200, answer.text
    return offer.accepted(answer.content, NOW)


def send(session: requests.Session, sealed: SealedRequest, url: str, method: str = "POST") -> requests.Response:
    return session.request(method, url, data=sealed.body, headers=sealed.headers)


def opened(sealed: SealedRequest, answer: requests.Response) -> bytes:
    return sealed.open(answer.status_code, answer.headers, answer.content)


@pytest.mark.parametrize("route", ["chat", "open", "bound", "plexi"])
def test_backend_gets_an_ordinary_request_and_the_client_a_token(
    proxy: Site, session: requests.Session, route: str
) -> None:
    client = of_ring(proxy, "chat" if route == "open" else route)
    url = proxy.url(f"/{route}/send?room=1")
    sealed = client.request("POST", url, b"hello")
    sealed.headers |= {"Content-Type": "text/plain", "Accept-Encoding": "gzip", "Range": "bytes=0-1"}
    answer = send(session, sealed, url)
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "fernet"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Accept-Encoding, Payload-Key, Payload-Session"
    assert "Payload-Key" in answer.headers["Access-Control-Expose-Headers"]
    assert b"hello" not in answer.content
    got = json.loads(opened(sealed, answer))
    assert (got["count"], got["sha256"]) == (5, hashlib.sha256(b"hello").hexdigest())
    assert (got["headers"]["content-length"], got["headers"]["content-type"]) == ("5", "text/plain")
    ours = {"content-encoding", "payload-key", "payload-nonce", "payload-accept", "accept-encoding", "range"}
    assert not ours & set(got["headers"])


def test_tokens_are_those_of_multifernet(proxy: Site, session: requests.Session) -> None:
    keys = proxy.command("payload", "export", "chat", "--multifernet").stdout.split()
    fernet = MultiFernet([Fernet(key) for key in keys])
    token = fernet.encrypt(b"from a program that knows nothing of this one")
    answer = session.post(proxy.url("/chat"), data=token, headers={"Content-Encoding": "fernet"})
    assert json.loads(fernet.decrypt(answer.content))["count"] == 45


@pytest.mark.parametrize("suite", ["MLKEM768-X25519", "MLKEM1024-P384"])
def test_session_serves_requests_with_and_without_body(proxy: Site, session: requests.Session, suite: str) -> None:
    client = of_session(proxy, session, suite)
    url = proxy.url("/session/x")
    for method, body, count in (("POST", b"hello", 5), ("GET", None, 0), ("PUT", [PIECE, PIECE], 2 * len(PIECE))):
        sealed = client.request(method, url, body)
        answer = send(session, sealed, url, method)
        assert json.loads(opened(sealed, answer))["count"] == count
    head = client.request("HEAD", url)
    answer = send(session, head, url, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "Content-Length" not in answer.headers


def test_large_answers_are_streams_with_weak_etags(proxy: Site, session: requests.Session) -> None:
    client = of_ring(proxy, "chat")
    url = proxy.url("/chat?size=300000")
    sealed = client.request("GET", url)
    answer = send(session, sealed, url, "GET")
    assert (answer.headers["Content-Encoding"], answer.headers["ETag"]) == ("fernet-stream", 'W/"1"')
    assert answer.headers["Cache-Control"] == "no-store"
    assert opened(sealed, answer) == bytes(300_000)
    del sealed.headers["Payload-Accept"]  # one that takes no stream is told
    answer = send(session, sealed, url, "GET")
    assert (answer.status_code, answer.json()["type"]) == (502, "urn:plexigate:problem:payload-answer-too-large")


Refusal = tuple[str, Mapping[str, str], bytes | None, int, str]
REFUSALS: list[Refusal] = [
    ("chat", {}, b"plain", 415, "required"),
    ("chat", {}, None, 401, "key-not-named"),
    ("chat", {"Content-Encoding": "gzip, fernet"}, b"x", 415, "coding-unsupported"),
    ("chat", {"Content-Encoding": "fernet"}, b"x" * 200, 400, "token-invalid"),
    ("chat", {"Content-Encoding": "fernet"}, b"x" * 400_000, 413, "too-large"),
    ("chat", {"Payload-Key": "other"}, None, 401, "key-unknown"),
    ("chat", {"Payload-Key": "chat:77"}, None, 401, "key-unknown"),
    ("chat", {"Payload-Session": "x"}, None, 401, "session-unknown"),
    ("session", {"Payload-Session": "x" * 100}, None, 401, "session-unknown"),
    ("session", {"Content-Encoding": "fernet"}, b"x" * 200, 401, "key-not-named"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[-1])
def test_refusals_say_why_and_are_marked(proxy: Site, session: requests.Session, refusal: Refusal) -> None:
    route, headers, body, status, slug = refusal
    headers = {**headers, "Origin": "https://page.test"}
    answer = session.request("GET" if body is None else "POST", proxy.url(f"/{route}"), headers=headers, data=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:plexigate:problem:payload-{slug}")
    assert answer.headers["Payload-Plain"] == "proxy"
    assert answer.json()["remedy"]
    allowed = "https://page.test" if route == "chat" else None
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_preflights_pass_and_plain_routes_are_as_ever(proxy: Site, session: requests.Session) -> None:
    headers = {"Origin": "https://page.test", "Access-Control-Request-Method": "POST"}
    answer = session.options(proxy.url("/chat"), headers=headers)
    assert answer.status_code == 200
    assert "Payload-Key" in answer.headers["Access-Control-Expose-Headers"]
    plain = session.post(proxy.url("/plain"), data=b"x", headers={"Content-Encoding": "fernet"})
    assert plain.json()["headers"]["content-encoding"] == "fernet"
    assert "Vary" not in plain.headers
    accepted = session.post(proxy.url("/open"), data=b"x")
    assert accepted.json()["count"] == 1
    assert "Payload-Key" in accepted.headers["Vary"]


def test_token_of_one_place_is_refused_at_another(proxy: Site, session: requests.Session) -> None:
    client = of_ring(proxy, "bound")
    sealed = client.request("POST", proxy.url("/bound/a"), b"hello")
    for method, path in (("PUT", "/bound/a"), ("POST", "/bound/b"), ("POST", "/bound/a?x")):
        answer = send(session, sealed, proxy.url(path), method)
        assert answer.json()["type"] == "urn:plexigate:problem:payload-misplaced"
    old = PayloadClient.of_ring(exported(proxy, "bound"), lambda: NOW() - 65)
    answer = send(session, old.request("POST", proxy.url("/bound/a"), b"hello"), proxy.url("/bound/a"))
    assert answer.json()["type"] == "urn:plexigate:problem:payload-expired"


async def test_client_of_aiohttp_uploads_a_stream_in_flat_memory(proxy: Site) -> None:
    """64 MiB here; a gibibyte in the soak."""
    client, url = of_ring(proxy, "chat"), proxy.url("/chat/upload")
    proxy.forget_peak()
    before = proxy.resident_bytes
    sealed = client.request("POST", url, (PIECE for _ in range(64)))
    assert sealed.body is not None
    assert not isinstance(sealed.body, bytes)

    async def pieces() -> Any:
        assert sealed.body is not None
        for piece in sealed.body:
            yield piece

    context = ssl.create_default_context(cafile=proxy.ca)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(url, data=pieces(), headers=sealed.headers) as answer,
    ):
        got = json.loads(sealed.open(answer.status, answer.headers, await answer.read()))
    assert got["count"] == 64 * MIB
    assert got["sha256"] == hashlib.sha256(PIECE * 64).hexdigest()
    assert proxy.peak_bytes - before < 8 * MIB


def test_rotation_under_load_refuses_nobody_who_lags_within_the_overlap(proxy: Site, session: requests.Session) -> None:
    """Overlap 2: the key of the export is good through two rotations, and retired by the third."""
    lagging = of_ring(proxy, "chat")
    url = proxy.url("/chat/x")
    asyncio.run(_rotated_while_used(proxy, lagging, url, times=2))
    for _ in range(2):
        sealed = lagging.request("POST", url, b"hello")
        assert json.loads(opened(sealed, send(session, sealed, url)))["count"] == 5
    change(proxy, "chat/rotate")
    answer = send(session, lagging.request("POST", url, b"hello"), url)
    assert answer.json()["type"] == "urn:plexigate:problem:payload-key-retired"
    answer = send(session, lagging.request("GET", url), url, "GET")
    assert answer.json()["type"] == "urn:plexigate:problem:payload-key-retired"


async def _rotated_while_used(proxy: Site, client: PayloadClient, url: str, times: int) -> None:
    """Use a ring from eight connections while it is rotated; every answer must be right."""
    context = ssl.create_default_context(cafile=proxy.ca)
    is_over = asyncio.Event()
    counts = [0]

    async def use(number: int) -> None:
        connector = aiohttp.TCPConnector(ssl=context, limit=1)
        fresh = client
        async with aiohttp.ClientSession(connector=connector) as session:
            while not is_over.is_set():
                if number % 2 == 0:
                    fresh = PayloadClient.of_ring(await asyncio.to_thread(exported, proxy, "chat"), NOW)
                for _ in range(20):
                    sealed = fresh.request("POST", url, b"hello")
                    async with session.post(url, data=sealed.body, headers=sealed.headers) as answer:
                        got = sealed.open(answer.status, answer.headers, await answer.read())
                    assert json.loads(got)["count"] == 5
                    counts[0] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(use(number))
        for _ in range(times):
            await asyncio.to_thread(change, proxy, "chat/rotate")
            await asyncio.sleep(0.2)  # of use by the new key
        is_over.set()
    assert counts[0] > 80


def test_revocation_is_immediate_and_a_restart_forgets_nothing(configuration: Path, authority: Authority) -> None:
    settings = configuration.read_text().replace('directory = "payload-a"', 'directory = "payload-b"')
    other = configuration.with_name("site-9.toml")
    other.write_text(settings.replace(str(configuration.with_suffix(".sock")), str(other.with_suffix(".sock"))))
    with serving(other, authority) as running, running.session() as first:
        client, url = of_ring(running, "chat"), running.url("/chat")
        assert running.command("payload", "rotate", "chat").returncode == 0
        sealed = client.request("POST", url, b"1")
        assert opened(sealed, send(first, sealed, url))
    with serving(other, authority) as running, running.session() as second:
        url = running.url("/chat")
        sealed = client.request("POST", url, b"1")
        assert opened(sealed, send(second, sealed, url))
        listed = admin(running).get("/payload")[1]["rings"][0]
        assert [(key["version"], key["state"]) for key in listed["keys"]] == [(2, "active"), (1, "valid")]
        change(running, "chat/1/revoke")
        for _ in range(8):
            answer = send(second, client.request("POST", url, b"1"), url)
            assert answer.json()["type"] == "urn:plexigate:problem:payload-key-revoked"
        assert running.command("payload", "retire", "chat", "2").returncode == 1
        table = running.command("payload", "list").stdout
        assert "revoked" in table
        assert ":tickets" in table


async def test_websocket_messages_are_tokens(proxy: Site) -> None:
    context = ssl.create_default_context(cafile=proxy.ca)
    client = of_ring(proxy, "bound")
    url = proxy.url("/bound/ws", scheme="wss")
    socket = client.websocket(proxy.url("/bound/ws"))
    async with connect(url, ssl=context, additional_headers=socket.headers, subprotocols=[Subprotocol("chat")]) as ws:
        assert ws.subprotocol == "chat"
        for text in ("hello", "again"):
            await ws.send(socket.seal(text.encode()).decode())
            answer = await ws.recv()
            assert isinstance(answer, str)
            assert socket.open(answer.encode()) == text.upper().encode()
        await ws.send(socket.seal(b"\x00\xff"))
        answer = await ws.recv()
        assert isinstance(answer, bytes)
        assert socket.open(answer) == b"\xff\x00"
        await ws.send("plain")
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "payload: token-invalid")
    with pytest.raises(InvalidStatus) as refused:
        await connect(proxy.url("/chat/ws", scheme="wss"), ssl=context)
    assert json.loads(refused.value.response.body or b"")["type"].endswith("payload-websocket-refused")


async def test_revocation_ends_a_websocket_at_its_next_message(proxy: Site) -> None:
    client = of_ring(proxy, "bound")
    socket = client.websocket(proxy.url("/bound/ws"))
    url, context = proxy.url("/bound/ws", scheme="wss"), ssl.create_default_context(cafile=proxy.ca)
    async with connect(url, ssl=context, additional_headers=socket.headers) as ws:
        await ws.send(socket.seal(b"hello").decode())
        assert socket.open(await ws.recv(decode=False)) == b"HELLO"
        version = int(socket.headers["Payload-Key"].partition(":")[2])
        await asyncio.to_thread(change, proxy, f"bound/{version}/revoke")
        await ws.send(socket.seal(b"hello").decode())
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "payload: key-revoked")


def test_messages_are_counted_by_ring_and_refusals_by_cause(proxy: Site, session: requests.Session) -> None:
    route = "localhost/plexi"

    def counted() -> list[float]:
        read = proxy.admin.metrics()
        messages = [
            found(read, f"plexigate_payload_{what}_total", route=route, ring="plexi") for what in ("opened", "sealed")
        ]
        return [*messages, found(read, "plexigate_payload_refused_total", route=route, cause="token-invalid")]

    before = counted()
    sealed = of_ring(proxy, "plexi").request("POST", proxy.url("/plexi"), b"hello")
    assert send(session, sealed, proxy.url("/plexi")).status_code == 200
    session.post(proxy.url("/plexi"), data=b"x", headers={"Content-Encoding": "fernet"})
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1, 1]


def test_log_names_causes_and_nothing_secret(proxy: Site, session: requests.Session) -> None:
    secret = exported(proxy, "chat")["keys"][0]["key"]
    change(proxy, "chat/rotate")
    session.post(proxy.url("/chat/refused"), data=b"a plain secret", headers={"Content-Encoding": "fernet"})
    assert proxy.record("/chat/refused")["error"] == "payload: token-invalid"
    proxy.program.wait_for(lambda output: any("payload_key_rotated" in line for line in output) or None)
    everything = "\n".join(proxy.program.output)
    assert "a plain secret" not in everything
    assert secret not in everything
