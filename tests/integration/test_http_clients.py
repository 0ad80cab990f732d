"""Real clients in front, a real server behind: curl, requests, aiohttp."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, body_of, site
from tests.integration.upstreams import aiohttp_server, in_thread


async def describe(request: web.Request) -> web.Response:
    """Say what came."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "headers": [list(header) for header in request.headers.items()],
            "size": len(body),
            "sum": hashlib.sha256(body).hexdigest(),
        }
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """Send numbers, a chunk each."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number in range(1_000):
        await response.write(b"%d\n" % number)
    await response.write_eof()
    return response


async def refuse(request: web.Request) -> web.Response:
    """Refuse an upload without reading it."""
    del request
    raise web.HTTPRequestEntityTooLarge(10, 11)


async def nothing(request: web.Request) -> web.Response:
    """No content."""
    del request
    return web.Response(status=204)


async def cached(request: web.Request) -> web.Response:
    """Something with an entity tag."""
    if request.headers.get("If-None-Match") == '"1"':
        return web.Response(status=304, headers={"ETag": '"1"'})
    return web.Response(text="fresh", headers={"ETag": '"1"'})


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy in front of an aiohttp application."""

    def application():  # type: ignore[no-untyped-def]
        return aiohttp_server(
            web.get("/stream", stream),
            web.post("/refuse", refuse),
            web.get("/nothing", nothing),
            web.get("/cached", cached),
            web.route("*", "/{any:.*}", describe),
        )

    with in_thread(application) as port:
        upstreams = {"application": Upstream((f"http://127.0.0.1:{port}",), path="/")}
        with site(tmp_path_factory.mktemp("clients"), authority, localhost, upstreams) as running:
            yield running


class TestCurl:
    """curl 8, linked with the same OpenSSL."""

    def test_get(self, proxy: Site) -> None:
        seen = json.loads(body_of(proxy.curl(path="/a/b?c=d")))
        assert (seen["method"], seen["path"]) == ("GET", "/a/b?c=d")

    def test_old_protocol(self, proxy: Site) -> None:
        completed = proxy.curl("--http1.0", "--include", path="/stream")
        head, _, body = body_of(completed).partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == b"".join(b"%d\n" % number for number in range(1_000))

    def test_protocol_is_settled_in_the_handshake(self, proxy: Site) -> None:
        completed = proxy.curl("--http2", "--verbose")
        assert b"ALPN: server accepted h2" in completed.stderr
        assert b"TLSv1.3 / TLS_AES_256_GCM_SHA384 / X25519MLKEM768" in completed.stderr

    def test_head(self, proxy: Site) -> None:
        completed = proxy.curl("--head", path="/cached")
        assert body_of(completed).startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 5\r\n" in completed.stdout

    @pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
    @pytest.mark.parametrize("lines", [(), ("Transfer-Encoding: chunked",), ("Expect: 100-continue",)])
    def test_upload(self, proxy: Site, tmp_path: Path, size: int, lines: tuple[str, ...]) -> None:
        data = bytes(number % 249 for number in range(1_000)) * (size // 1_000) + bytes(size % 1_000)
        upload = tmp_path / "upload"
        upload.write_bytes(data)
        fields = [argument for line in lines for argument in ("--header", line)]
        completed = proxy.curl("--verbose", "--upload-file", str(upload), *fields, path="/upload")
        seen = json.loads(body_of(completed))
        assert (seen["method"], seen["size"], seen["sum"]) == ("PUT", size, hashlib.sha256(data).hexdigest())
        if size and "Expect: 100-continue" in lines:
            assert b"< HTTP/1.1 100 Continue" in completed.stderr

    def test_refused_upload(self, proxy: Site, tmp_path: Path) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(20_000_000))
        completed = proxy.curl("--request", "POST", "--write-out", "%{http_code}", "-T", str(upload), path="/refuse")
        assert completed.stdout.endswith(b"413"), completed.stderr

    def test_form_with_a_file(self, proxy: Site, tmp_path: Path) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(100_000))
        seen = json.loads(body_of(proxy.curl("--form", f"file=@{upload}", path="/form")))
        assert seen["method"] == "POST"
        assert seen["size"] > 100_000

    def test_one_connection_for_several_requests(self, proxy: Site) -> None:
        urls = [proxy.url(f"/{number}") for number in range(5)]
        completed = proxy.curl("--write-out", "%{num_connects}\n", *urls, path="/last")
        counts = [line.rpartition(b"}")[2] for line in body_of(completed).splitlines()]
        assert counts == [b"1", b"0", b"0", b"0", b"0", b"0"]

    def test_compressed_response_passes_untouched(self, proxy: Site) -> None:
        seen = json.loads(body_of(proxy.curl("--compressed")))
        assert any(name == "Accept-Encoding" for name, _ in seen["headers"])


class TestRequests:
    """The client of most Python programs."""

    def test_session_keeps_its_connection(self, proxy: Site) -> None:
        with proxy.session() as session:
            for number in range(20):
                response = session.post(proxy.url(f"/{number}"), data=b"x" * number)
                assert response.json()["size"] == number
            (pool,) = session.adapters["https://"].poolmanager.pools._container.values()  # type: ignore[attr-defined]
            assert (pool.num_connections, pool.num_requests) == (1, 20)

    def test_generator_is_sent_in_chunks(self, proxy: Site) -> None:
        pieces = [bytes((number,)) * 1_000 for number in range(200)]
        with proxy.session() as session:
            seen = session.put(proxy.url("/generator"), data=iter(pieces)).json()
        assert seen["size"] == 200_000
        assert seen["sum"] == hashlib.sha256(b"".join(pieces)).hexdigest()

    def test_streamed_response(self, proxy: Site) -> None:
        with proxy.session() as session, session.get(proxy.url("/stream"), stream=True) as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert [int(line) for line in response.iter_lines()] == list(range(1_000))

    def test_statuses_without_a_body(self, proxy: Site) -> None:
        with proxy.session() as session:
            for _ in range(3):
                assert session.get(proxy.url("/nothing")).status_code == 204
                assert session.get(proxy.url("/cached"), headers={"If-None-Match": '"1"'}).status_code == 304
                assert session.head(proxy.url("/cached")).headers["Content-Length"] == "5"
                assert session.get(proxy.url("/cached")).text == "fresh"
            (pool,) = session.adapters["https://"].poolmanager.pools._container.values()  # type: ignore[attr-defined]
            assert pool.num_connections == 1

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"])
    def test_every_method_of_a_chat_server_passes(self, proxy: Site, method: str) -> None:
        with proxy.session() as session:
            assert session.request(method, proxy.url("/method")).json()["method"] == method
