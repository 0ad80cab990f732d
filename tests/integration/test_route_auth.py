"""Routes that ask who a client is: a small authorization server and passwords, as curl and a WebSocket client see them."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from websockets.sync.client import connect

from tests import prepared
from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import aiohttp_server, in_thread
from tests.programs import PLEXIGATE

PASSWORD = "correct horse"  # noqa: S105
TRICKS = ("//private/x", "/%70rivate/x", "/private%2fx", "/a/../private/x", "/a/%2e%2e/private/x", "/private;a/x")
WHO = "%{http_code} %{redirect_url}"


async def verify(request: web.Request) -> web.Response:
    """An authorization server such as oauth2-proxy: a cookie is a session, all others go to the login page."""
    wanted = f"{request.headers['X-Forwarded-Method']} {request.headers['X-Forwarded-Uri']}"
    if request.cookies.get("session") != "ada":
        login = web.Response(status=302, headers={"Location": "https://login.test/?for=" + wanted.split()[1]})
        login.set_cookie("state", "1")
        return login
    if "X-Forwarded-For" not in request.headers or await request.read():
        return web.Response(status=400)
    return web.Response(status=204, headers={"X-User": "ada", "X-Wanted": wanted, "X-Secret": "no"})


async def application(request: web.Request) -> web.StreamResponse:
    """What is guarded: it shows what it believes, and speaks WebSocket."""
    if request.headers.get("Upgrade") == "websocket":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.headers["X-User"])
        await socket.close()
        return socket
    shown = [f"{name}={value}" for name, value in request.headers.items() if name.lower().startswith(("x-", "auth"))]
    return web.Response(text="\n".join([request.path, f"{len(await request.read())} bytes", *shown]))


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("auth")
    line = prepared.run([PLEXIGATE, "password", "ada"], typed=f"{PASSWORD}\n")
    users = directory / "admins.users"
    users.touch(0o600)
    users.write_text(line.stdout)
    with ExitStack() as stack:
        ports = [
            stack.enter_context(in_thread(partial(aiohttp_server, web.route("*", "/{any:.*}", handler))))
            for handler in (verify, application)
        ]
        login, chat = (f"http://127.0.0.1:{port}" for port in ports)
        upstreams = {
            "login": Upstream((login,)),
            "gone": Upstream(("http://127.0.0.1:1",)),
            "chat": Upstream(
                (chat,),
                path="/",
                route='auth = { upstream = "login", path = "/verify", copy = ["X-User", "X-Wanted"] }',
            ),
            "lost": Upstream((chat,), route='auth = { upstream = "gone" }'),
            "private": Upstream((chat,), route='basic_auth = { file = "admins.users", realm = "Admins" }'),
        }
        yield stack.enter_context(site(directory, authority, localhost, upstreams))


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_authorization_server_decides_about_each_request(proxy: Site, version: str, tmp_path: Path) -> None:
    denied = proxy.curl(version, "--include", path="/rooms?x=1").stdout.decode().lower()
    assert " 302" in denied.splitlines()[0]
    assert "location: https://login.test/?for=/rooms?x=1" in denied
    assert "set-cookie: state=1" in denied
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(300_000))
    session = ("--cookie", "session=ada", "--header", "X-User: root", "--header", "X_User: root")
    told = proxy.curl(version, *session, "--upload-file", str(upload), path="/rooms?x=1").stdout.decode().splitlines()
    assert told[:2] == ["/rooms", "300000 bytes"]
    assert [one for one in told if one.lower().startswith(("x-user", "x_user"))] == ["x-user=ada"]
    assert "x-wanted=PUT /rooms?x=1" in told
    assert not [one for one in told if one.lower().startswith(("x-secret", "x-forwarded-uri", "x-forwarded-method"))]
    refused = proxy.curl(version, *session[:2], "--write-out", WHO, "--output", "-", path="/lost/x").stdout.decode()
    assert refused.rstrip().endswith("502")


def test_websocket_is_asked_about_when_it_opens(proxy: Site) -> None:
    context = ssl.create_default_context(cafile=str(proxy.ca))

    fields = {"Cookie": "session=ada", "X-User": "root"}
    with connect(proxy.url("/socket", scheme="wss"), ssl=context, additional_headers=fields, proxy=None) as socket:
        assert socket.recv() == "ada"
    offer = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = ("--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    words = [word for field in offer for word in ("--header", field)]
    assert proxy.curl(*words, *key, "--write-out", "%{http_code}", path="/socket").stdout.endswith(b"302")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_password_lets_in_and_stays_with_the_proxy(proxy: Site, version: str) -> None:
    asked = proxy.curl(version, "--include", path="/private/x").stdout.decode().lower()
    assert " 401" in asked.splitlines()[0]
    assert 'www-authenticate: basic realm="admins", charset="utf-8"' in asked
    right = ("--user", f"ada:{PASSWORD}", "--header", "X-Forwarded-User: root")
    told = proxy.curl(version, *right, path="/private/x").stdout.decode().splitlines()
    assert told[0] == "/private/x"
    assert "X-Forwarded-User=ada" in told
    assert not [one for one in told if one.lower().startswith("auth") or "root" in one]
    wrong = proxy.curl(version, "--user", f"ada:{PASSWORD}x", "--write-out", "%{http_code}", path="/private/x").stdout
    assert wrong.endswith(b"401")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_gets_past_the_password(proxy: Site, version: str, path: str) -> None:
    """With a session for the outer route, so that only the password stands in the way."""
    session = ("--path-as-is", "--cookie", "session=ada")
    status = proxy.curl(version, *session, "--write-out", "%{http_code}", "--output", "/dev/null", path=path).stdout
    assert status in {b"400", b"401"}
