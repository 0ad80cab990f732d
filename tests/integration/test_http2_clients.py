"""HTTP/2 clients that others wrote, in front of a real server: curl, nghttp, h2load, httpx, python-hyper's h2, Node."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address
from tests.integration.http2 import LISTENER, Http2Client, context_for
from tests.integration.stage import Site, Upstream, body_of, site
from tests.integration.test_http_clients import cached, describe, nothing, refuse, stream
from tests.integration.upstreams import Peer, aiohttp_server, in_thread, scripted

BIG = 100_000_000
_PIECE = bytes(number % 251 for number in range(250_000))
BIG_SUM = hashlib.sha256(_PIECE * (BIG // len(_PIECE))).hexdigest()


async def big(request: web.Request) -> web.StreamResponse:
    """100 MB."""
    response = web.StreamResponse(headers={"Content-Length": str(BIG)})
    await response.prepare(request)
    for _ in range(BIG // len(_PIECE)):
        await response.write(_PIECE)
    await response.write_eof()
    return response


def plays(peer: Peer) -> None:
    """Answer as the path says, in ways in which aiohttp does not."""
    for message in peer.requests():
        path = message.target
        if path == "/raw/hints":
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        if path in ("/raw/trailers", "/raw/unannounced"):
            announced = b"Trailer: x-sum\r\n" if path == "/raw/trailers" else b""
            peer.send(b"HTTP/1.1 200 OK\r\n" + announced + b"Transfer-Encoding: chunked\r\n\r\n")
            peer.send(b"4\r\nbody\r\n0\r\nX-Sum: 1234\r\n\r\n")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy in front of an aiohttp application, and of a server that a script plays."""

    def application():  # type: ignore[no-untyped-def]
        return aiohttp_server(
            web.get("/stream", stream),
            web.get("/big", big),
            web.post("/refuse", refuse),
            web.get("/nothing", nothing),
            web.get("/cached", cached),
            web.route("*", "/{any:.*}", describe),
        )

    with in_thread(application) as port, scripted(plays) as raw:
        upstreams = {"application": Upstream((f"http://127.0.0.1:{port}",), path="/"), "raw": Upstream((raw.url,))}
        with site(tmp_path_factory.mktemp("http2"), authority, localhost, upstreams, LISTENER) as running:
            yield running


def run(*command: str) -> str:
    """What a program prints, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestCurl:
    """curl 8 with nghttp2."""

    def test_protocol_is_settled_in_the_handshake(self, proxy: Site) -> None:
        completed = proxy.curl("--http2", "--verbose")
        assert b"ALPN: server accepted h2" in completed.stderr
        assert b"TLSv1.3 / TLS_AES_256_GCM_SHA384 / X25519MLKEM768" in completed.stderr
        assert b"< HTTP/2 200" in completed.stderr

    def test_get(self, proxy: Site) -> None:
        seen = json.loads(body_of(proxy.curl("--http2", path="/a/b?c=d")))
        assert (seen["method"], seen["path"]) == ("GET", "/a/b?c=d")
        assert proxy.record("/a/b")["protocol"] == "h2"

    def test_version_that_it_prefers(self, proxy: Site) -> None:
        both = [
            proxy.curl(option, "--write-out", "%{http_version}", "--output", "/dev/null", path="/version").stdout
            for option in ("--http1.1", "--http2")
        ]
        assert both == [b"1.1", b"2"]

    @pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
    @pytest.mark.parametrize("lines", [(), ("Transfer-Encoding: chunked",), ("Expect: 100-continue",)])
    def test_upload(self, proxy: Site, tmp_path: Path, size: int, lines: tuple[str, ...]) -> None:
        """Where HTTP/1.1 sends chunks, HTTP/2 sends a body without content-length."""
        data = bytes(number % 249 for number in range(1_000)) * (size // 1_000) + bytes(size % 1_000)
        upload = tmp_path / "upload"
        upload.write_bytes(data)
        fields = [argument for line in lines for argument in ("--header", line)]
        source = f"@{upload}"
        completed = proxy.curl("--http2", "--verbose", "--data-binary", source, *fields, path="/upload")
        seen = json.loads(body_of(completed))
        assert (seen["method"], seen["size"], seen["sum"]) == ("POST", size, hashlib.sha256(data).hexdigest())
        if size and "Expect: 100-continue" in lines:
            assert b"< HTTP/2 100" in completed.stderr
        sent = {name.lower(): value for name, value in seen["headers"]}
        assert "expect" not in sent
        if size and not lines:
            assert sent["content-length"] == str(size)

    def test_refused_upload(self, proxy: Site, tmp_path: Path) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(20_000_000))
        arguments = ("--http2", "--request", "POST", "--write-out", "%{http_code}", "-T", str(upload))
        completed = proxy.curl(*arguments, path="/refuse")
        assert completed.stdout.endswith(b"413"), completed.stderr

    def test_download(self, proxy: Site, tmp_path: Path) -> None:
        target = tmp_path / "big"
        body_of(proxy.curl("--http2", "--output", str(target), path="/big"))
        assert hashlib.sha256(target.read_bytes()).hexdigest() == BIG_SUM

    def test_head_and_statuses_without_a_body(self, proxy: Site) -> None:
        head = body_of(proxy.curl("--http2", "--head", path="/cached"))
        assert head.startswith(b"HTTP/2 200 \r\n")
        assert b"\r\ncontent-length: 5\r\n" in head
        out = ("--write-out", "%{http_code} %{size_download}")
        assert body_of(proxy.curl("--http2", *out, path="/nothing")) == b"204 0"
        unchanged = proxy.curl("--http2", *out, "--header", 'If-None-Match: "1"', path="/cached")
        assert body_of(unchanged) == b"304 0"

    def test_early_hints(self, proxy: Site) -> None:
        said = body_of(proxy.curl("--http2", "--include", path="/raw/hints"))
        assert said.startswith(b"HTTP/2 103 \r\nlink: </style.css>; rel=preload\r\n")
        assert b"\r\nHTTP/2 200 \r\n" in said
        assert said.endswith(b"\r\n\r\nplain")

    @pytest.mark.parametrize("path", ["/raw/trailers", "/raw/unannounced"])
    def test_trailers(self, proxy: Site, path: str) -> None:
        """gRPC does not announce its own."""
        completed = proxy.curl("--http2", "--verbose", path=path)
        assert body_of(completed) == b"body"
        assert b"< x-sum: 1234" in completed.stderr

    def test_one_connection_for_parallel_requests(self, proxy: Site) -> None:
        urls = [proxy.url(f"/{number}") for number in range(20)]
        arguments = ("--http2", "--parallel", "--parallel-max", "20", "--write-out", "%{num_connects}\n")
        counts = [line.rpartition(b"}")[2] for line in body_of(proxy.curl(*arguments, *urls)).splitlines()]
        assert sorted(counts) == [b"0"] * 20 + [b"1"]


class TestNghttp:
    """The client of nghttp2, and its load generator."""

    def test_get(self, proxy: Site) -> None:
        said = run("nghttp", "--verbose", "--null-out", proxy.url("/nghttp"))
        assert re.search(r":status: 200", said)
        assert "SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1" in said
        assert "The negotiated protocol: h2" in said

    def test_many_requests_with_padding_and_continuation(self, proxy: Site) -> None:
        arguments = ("--null-out", "--stat", "--multiply=50", "--padding=100", "--continuation")
        said = run("nghttp", *arguments, proxy.url("/padded"))
        assert len(re.findall(r" 200 +\S+ /padded", said)) == 50

    def test_upload_with_trailers(self, proxy: Site, tmp_path: Path) -> None:
        """Trailers of a request do not continue, and harm nothing."""
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(300_000))
        said = run("nghttp", f"--data={upload}", "--trailer=x-sum: 1234", proxy.url("/trailed"))
        assert json.loads(said)["size"] == 300_000

    def test_tables_that_change_their_size(self, proxy: Site) -> None:
        sizes = ["--header-table-size=0", "--header-table-size=16384", "--encoder-header-table-size=100"]
        said = run("nghttp", "--stat", "--null-out", "--multiply=10", *sizes, proxy.url("/tables"))
        assert len(re.findall(r" 200 +\S+ /tables", said)) == 10

    def test_load(self, proxy: Site) -> None:
        said = run("h2load", "-n", "5000", "-c", "10", "-m", "10", proxy.url("/nothing"))
        assert "5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout" in said

    def test_load_with_windows_of_a_few_bytes(self, proxy: Site) -> None:
        said = run("h2load", "-n", "20", "-c", "2", "-m", "10", "-w", "8", "-W", "10", proxy.url("/stream"))
        assert "20 done, 20 succeeded, 0 failed" in said

    def test_load_with_bodies(self, proxy: Site, tmp_path: Path) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(100_000))
        said = run("h2load", "-n", "200", "-c", "4", "-m", "5", "-d", str(upload), proxy.url("/posted"))
        assert "200 done, 200 succeeded, 0 failed" in said


class TestHttpx:
    """The client of Python programs that speaks HTTP/2."""

    @pytest.fixture
    def client(self, proxy: Site) -> Iterator[httpx.Client]:
        """It closes its connection afterwards."""
        with httpx.Client(
            http2=True, verify=context_for(str(proxy.ca)), trust_env=False, base_url=proxy.url()
        ) as client:
            yield client

    def test_session_keeps_its_connection(self, client: httpx.Client) -> None:
        for number in range(20):
            response = client.post(f"/{number}", content=b"x" * number)
            assert (response.http_version, response.json()["size"]) == ("HTTP/2", number)

    def test_generator_has_no_length(self, client: httpx.Client) -> None:
        pieces = [bytes((number,)) * 1_000 for number in range(200)]
        seen = client.put("/generator", content=iter(pieces)).json()
        assert (seen["size"], seen["sum"]) == (200_000, hashlib.sha256(b"".join(pieces)).hexdigest())

    def test_streamed_response(self, client: httpx.Client) -> None:
        with client.stream("GET", "/stream") as response:
            assert [int(line) for line in response.iter_lines()] == list(range(1_000))

    def test_statuses_without_a_body(self, client: httpx.Client) -> None:
        for _ in range(3):
            assert client.get("/nothing").status_code == 204
            assert client.get("/cached", headers={"If-None-Match": '"1"'}).status_code == 304
            assert client.head("/cached").headers["content-length"] == "5"
            assert client.get("/cached").text == "fresh"

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"])
    def test_every_method_of_a_chat_server_passes(self, client: httpx.Client, method: str) -> None:
        assert client.request(method, "/method").json()["method"] == method

    def test_cookies_are_one_field_for_the_server(self, client: httpx.Client) -> None:
        """A client may cut the field (RFC 9113 section 8.2.3)."""
        seen = client.get("/cookies", headers=[("cookie", "a=1"), ("cookie", "b=2")]).json()
        assert [value for name, value in seen["headers"] if name.lower() == "cookie"] == ["a=1; b=2"]


class TestHyper:
    """python-hyper's h2, event by event."""

    @pytest.fixture
    def client(self, proxy: Site) -> Iterator[Http2Client]:
        """A connection."""
        with Http2Client(Address(proxy.port(), proxy.ca)) as client:
            yield client

    def test_hundred_requests_at_once(self, client: Http2Client) -> None:
        streams = [client.ask(f"/{number}") for number in range(100)]
        paths = [json.loads(bytes(answer.body))["path"] for answer in client.all_of(streams)]
        assert paths == [f"/{number}" for number in range(100)]

    def test_informational_head_and_trailers(self, client: Http2Client) -> None:
        hints = client.get("/raw/hints")
        assert [one[":status"] for one in hints.informational] == ["103"]
        assert client.get("/raw/unannounced").trailers == {"x-sum": "1234"}

    def test_early_answer_ends_the_upload(self, client: Http2Client) -> None:
        """RST_STREAM with NO_ERROR behind the answer (RFC 9113 section 8.1)."""
        stream = client.ask("/refuse", method="POST", body=bytes(5_000_000))
        answer = client.answer(stream)
        client.until(lambda: answer.reset is not None)
        assert (answer.status, answer.reset) == (413, 0)
        assert client.get("/next").status == 200


NODE = """
import http2 from "node:http2";
const [url] = process.argv.slice(1);
const session = http2.connect(url);
const ask = (path, fields = {}, body = null) => new Promise((yes, no) => {
  const stream = session.request({ ":path": path, ...fields });
  const told = { size: 0, text: "" };
  stream.on("headers", (head) => { told.hint = head[":status"]; });
  stream.on("response", (head) => { told.status = head[":status"]; });
  stream.on("trailers", (found) => { told.sum = found["x-sum"]; });
  stream.on("data", (data) => { told.size += data.length; if (told.size < 10000) told.text += data; });
  stream.on("end", () => yes(told));
  stream.on("error", no);
  stream.end(body ?? undefined);
});
const many = await Promise.all([...Array(100).keys()].map((number) => ask(`/node/${number}`)));
const posted = await ask("/node", { ":method": "POST" }, Buffer.alloc(3_000_000, 7));
const told = {
  protocol: session.alpnProtocol,
  extended: session.remoteSettings.enableConnectProtocol,
  paths: many.map((one) => JSON.parse(one.text).path),
  posted: JSON.parse(posted.text).size,
  big: (await ask("/big")).size,
  hint: (await ask("/raw/hints")).hint,
  sum: (await ask("/raw/trailers")).sum,
  head: (await ask("/cached", { ":method": "HEAD" })).size,
};
session.close();
console.log(JSON.stringify(told));
"""


def test_node(proxy: Site) -> None:
    assert shutil.which("node"), "Node is missing (apt-get install nodejs)"
    done = subprocess.run(
        ["env", f"NODE_EXTRA_CA_CERTS={proxy.ca}", "node", "--input-type=module", "--eval", NODE, proxy.url()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "protocol": "h2",
        "extended": True,
        "paths": [f"/node/{number}" for number in range(100)],
        "posted": 3_000_000,
        "big": BIG,
        "hint": 103,
        "sum": "1234",
        "head": 0,
    }
