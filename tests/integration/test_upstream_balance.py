"""Each way of balancing gives servers what it promises, seen by real clients and counted by real servers."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests
from aiohttp import web

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, body_of, request, site
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, aiohttp_server, in_thread, scripted

ROOMS = 400
SECRET = "a secret of 32 octets, or of more"  # noqa: S105


@contextmanager
def named_servers(count: int) -> Iterator[list[str]]:
    """aiohttp servers that answer with their number; gives their URLs."""
    with ExitStack() as stack:
        urls = []
        for number in range(count):

            async def answer(_: web.Request, number: int = number) -> web.Response:
                return web.Response(text=str(number))

            port = stack.enter_context(in_thread(partial(aiohttp_server, web.get("/{path:.*}", answer))))
            urls.append(f"http://127.0.0.1:{port}")
        yield urls


@pytest.fixture(scope="module")
def servers() -> Iterator[list[str]]:
    """Four of them."""
    with named_servers(4) as urls:
        yield urls


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the secret is."""
    made = tmp_path_factory.mktemp("balance")
    (made / "sticky.key").write_text(SECRET)
    (made / "sticky.key").chmod(0o600)
    return made


HASHED = 'balance = "consistent-hash"\nhash_on = "{}"'
STICKY = (
    'balance = "sticky-cookie"\n[upstream.sticky.cookie]\nsecret = "sticky.key"\nsame_site = "strict"\nmax_age = "10m"'
)


@pytest.fixture(scope="module")
def proxy(directory: Path, servers: list[str], authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy with an upstream for each way."""
    weighted = tuple(zip(servers[:3], (3, 2, 1), strict=True))
    upstreams = {
        "turns": Upstream(weighted, 'balance = "round-robin"'),
        "least": Upstream(weighted),
        "room": Upstream(tuple(servers), HASHED.format("header:X-Room")),
        "fewer": Upstream(tuple(servers[:3]), HASHED.format("header:X-Room")),
        "crumb": Upstream(tuple(servers), HASHED.format("cookie:room")),
        "address": Upstream(tuple(servers), HASHED.format("address")),
        "sticky": Upstream(tuple(servers), STICKY),
    }
    trusted = '[listener.public]\nbind = "127.0.0.1:0"\ntrusted_peers = ["127.0.0.1"]\n'
    with site(directory, authority, localhost, upstreams, trusted) as running:
        yield running


def asked(session: requests.Session, url: str, **headers: str) -> str:
    """Which server answers."""
    response = session.get(url, headers=headers)
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("path", ["/turns", "/least"])
def test_servers_get_requests_by_weight(proxy: Site, path: str) -> None:
    with proxy.session() as session:
        counts = Counter(asked(session, proxy.url(path)) for _ in range(120))
    assert counts == {"0": 60, "1": 40, "2": 20}


def test_least_connections_counts_what_is_under_way_and_websockets(
    tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> None:
    """Of two equal servers, one with a WebSocket gets requests only when the other one has as much to do."""
    arrived, answer = threading.Semaphore(0), threading.Event()
    seen: list[tuple[int, str]] = []
    accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    def script(number: int, peer: Peer) -> None:
        while True:
            head = peer.read_head().decode()
            target = head.split(" ", 2)[1]
            seen.append((number, target))
            if "/socket" in target:
                lines = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
                peer.send(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n\r\n".encode())
                peer.read_to_end()
                return
            arrived.release()
            assert "/held" not in target or answer.wait(WAIT_SECONDS)
            peer.send(OK)

    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with ExitStack() as stack:
        urls = [stack.enter_context(scripted(partial(script, number))).url for number in range(2)]
        running = stack.enter_context(site(tmp_path, authority, localhost, {"two": Upstream(tuple(urls))}))

        def ask(kind: str) -> int:
            """Open one, leave it open, and answer which server has it."""
            client = stack.enter_context(running.connect())
            client.send(request(*(upgrade if kind == "socket" else ()), start=f"GET /two/{kind} HTTP/1.1"))
            if kind == "socket":
                assert client.read_response().status == 101
            else:
                assert arrived.acquire(timeout=WAIT_SECONDS)
            return seen[-1][0]

        first = ask("socket")
        other = 1 - first
        assert ask("held") == other
        both = {ask("socket"), ask("socket")}
        assert both == {0, 1}
        assert Counter(ask("held") for _ in range(4)) == {0: 2, 1: 2}
        answer.set()


class TestConsistentHash:
    """Equal values, equal servers."""

    def where(self, proxy: Site, path: str) -> list[str]:
        """Which server each room is at."""
        with proxy.session() as session:
            return [asked(session, proxy.url(path), **{"X-Room": f"room-{number}"}) for number in range(ROOMS)]

    def test_value_keeps_its_server_and_all_have_their_share(self, proxy: Site) -> None:
        once = self.where(proxy, "/room")
        assert self.where(proxy, "/room") == once
        counts = Counter(once)
        assert len(counts) == 4
        assert min(counts.values()) > ROOMS / 4 * 0.7

    def test_server_that_leaves_takes_nobody_else_along(self, proxy: Site) -> None:
        with_all, without = self.where(proxy, "/room"), self.where(proxy, "/fewer")
        moved = [(before, after) for before, after in zip(with_all, without, strict=True) if before != after]
        assert {before for before, _ in moved} == {"3"}, "only rooms of the server that left move"
        assert len(moved) == with_all.count("3") < ROOMS / 4 * 1.3
        assert {after for _, after in moved} == {"0", "1", "2"}, "and they spread over all others"

    def test_cookie_and_address(self, proxy: Site) -> None:
        with proxy.session() as session:
            for path, name, value in (
                ("/crumb", "Cookie", "a=b; room={}"),
                ("/address", "X-Forwarded-For", "203.0.113.1, 198.51.100.{}"),
            ):
                once, again = (
                    [asked(session, proxy.url(path), **{name: value.format(number)}) for number in range(60)]
                    for _ in range(2)
                )
                assert once == again
                assert len(set(once)) == 4


class TestStickyCookie:
    """A client stays with its server by a cookie that it cannot read and cannot forge."""

    def test_client_stays_and_others_go_elsewhere(self, proxy: Site) -> None:
        seen = set()
        for _ in range(4):
            with proxy.session() as session:
                first = session.get(proxy.url("/sticky"))
                assert "Set-Cookie" in first.headers
                again = [session.get(proxy.url("/sticky")) for _ in range(8)]
                assert {one.text for one in again} == {first.text}
                assert not any("Set-Cookie" in one.headers for one in again)
                seen.add(first.text)
        assert seen == {"0", "1", "2", "3"}

    def test_attributes(self, proxy: Site, servers: list[str]) -> None:
        with proxy.session() as session:
            line = session.get(proxy.url("/sticky")).headers["Set-Cookie"]
        value = r"[0-9a-f]+\.[\w-]{12}\.[\w-]{43}"
        attributes = r"; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Strict"
        assert re.fullmatch(f"__Host-sticky={value}{attributes}", line)
        assert not any(url.removeprefix("http://") in line for url in servers)

    def test_curl_takes_it_and_stays(self, proxy: Site, tmp_path: Path) -> None:
        jar = ("--cookie", str(tmp_path / "jar"), "--cookie-jar", str(tmp_path / "jar"))
        first = body_of(proxy.curl(*jar, path="/sticky"))
        assert "__Host-sticky" in (tmp_path / "jar").read_text()
        assert {body_of(proxy.curl(*jar, path="/sticky")) for _ in range(4)} == {first}

    @pytest.mark.parametrize("change", [lambda value: value[:-1], lambda value: "f" + value[1:], lambda _: "x"])
    def test_tampered_cookie_is_as_good_as_none(self, proxy: Site, change: Callable[[str], str]) -> None:
        with proxy.session() as session:
            session.get(proxy.url("/sticky"))
            value = session.cookies["__Host-sticky"]
        with proxy.session() as session:
            answer = session.get(proxy.url("/sticky"), headers={"Cookie": f"__Host-sticky={change(value)}"})
            assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, True)
        with proxy.session() as session:
            answer = session.get(proxy.url("/sticky"), headers={"Cookie": f"__Host-sticky={value}"})
            assert "Set-Cookie" not in answer.headers, "it was a good one"


def test_server_that_cannot_be_reached_loses_no_request_and_the_client_is_bound_anew(
    directory: Path, servers: list[str], authority: Authority, localhost: CertificateFiles
) -> None:
    with ExitStack() as stack:
        dying = stack.enter_context(ExitStack())
        (gone,) = dying.enter_context(named_servers(1))
        upstreams = {"sticky": Upstream((gone, servers[1]), STICKY)}
        running = stack.enter_context(site(directory, authority, localhost, upstreams))
        session = stack.enter_context(running.session())
        while session.get(running.url("/sticky")).text != "0":
            session.cookies.clear()
        dying.close()
        moved = session.get(running.url("/sticky"))
        assert (moved.status_code, moved.text, "Set-Cookie" in moved.headers) == (200, "1", True)
        assert "Set-Cookie" not in session.get(running.url("/sticky")).headers
