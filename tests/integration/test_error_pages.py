"""Errors of the proxy in the operator's words: nothing of a request gets into them, and errors of servers stay as they are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import End
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import answering, scripted
from tests.ports import lasting_port

PAGE = "<!doctype html><title>{status} {title}</title><p id='{request_id}'>{detail}</p>"
CONFIGURATION = """
[error_pages]
4xx = ["page.html", "page.json"]
5xx = "page.html"
[[route]]
host = "localhost"
path = "/fixed"
respond = { status = 404, body = "not ours to change" }
"""
HTML = "Accept: text/html"
MARK = "zz<script>'\"`{status}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pages are."""
    made = tmp_path_factory.mktemp("pages")
    (made / "page.html").write_text(PAGE)
    (made / "page.json").write_text('{"code": {status}, "why": "{detail}", "id": "{request_id}"}')
    (made / "own.html").write_text("<p>our chat is down")
    (made / "again.html").write_text("<p>down")
    return made


@pytest.fixture(scope="module")
def proxy(directory: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy with a server that answers errors, and two that are not there."""
    bad = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\ntheirs"
    with scripted(answering(*[bad] * 10)) as server:
        nothing = (f"http://127.0.0.1:{lasting_port()}",)
        upstreams = {
            "bad": Upstream((server.url,)),
            "down": Upstream(nothing),
            "own": Upstream(nothing, route='error_pages = { 502 = "own.html" }'),
            "again": Upstream(nothing, route='error_pages = { 502 = "again.html" }'),
            "small": Upstream(nothing, route="body_bytes = 5"),
        }
        with site(directory, authority, localhost, upstreams, CONFIGURATION) as running:
            yield running


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_people_and_programs_get_what_the_operator_wrote(proxy: Site, version: str) -> None:
    def got(path: str, *more: str) -> str:
        return proxy.curl(version, *more, path=path).stdout.decode()

    page = got("/nothing", "--header", HTML)
    assert re.fullmatch(
        r"<!doctype html><title>404 Not Found</title><p id='[0-9a-f-]+'>nothing is served here</p>", page
    )
    told = json.loads(got("/nothing"))
    assert (told["code"], told["why"]) == (404, "nothing is served here")
    assert "502 Bad Gateway" in got("/down", "--header", HTML)
    assert json.loads(got("/down"))["title"] == "Bad Gateway"  # no file for programs: a problem document
    assert got("/own", "--header", HTML) == "<p>our chat is down"
    assert "413 Content Too Large" in got("/small", "--header", HTML, "--data", "too long")
    assert "POST" not in got("/fixed", "--header", HTML, "--data", "x")
    head = proxy.curl(version, "--include", "--data", "x", path="/fixed").stdout.decode().lower()
    assert "allow: get, head\r\n" in head


def test_errors_of_servers_and_fixed_answers_stay(proxy: Site) -> None:
    assert proxy.curl("--header", HTML, path="/bad").stdout == b"theirs"
    assert proxy.curl("--header", HTML, path="/fixed").stdout == b"not ours to change"


HOSTILE = [
    request(HTML, start=f"GET /{MARK.replace(' ', '')} HTTP/1.1"),
    request(HTML, start="GET /?x=zz%3Cscript%3E<b> HTTP/1.1"),
    request(HTML, f"X-Request-Id: {MARK}", start="GET /nothing HTTP/1.1"),
    request(HTML, f"X-Forwarded-For: {MARK}", start="GET /nothing HTTP/1.1"),
    request(HTML, start="ZZ<script> / HTTP/1.1"),
    request(HTML, start="GET / HTTP/1.1").replace(b"Host: localhost", b"Host: zz<script>"),
    request(HTML, start="GET / HTTP/1.1").replace(b"Host: localhost", b"Host: zz.test"),
    request(HTML, "Transfer-Encoding: zz", start="POST /small HTTP/1.1"),
    request(HTML, "Expect: zz", "Content-Length: 1", start="POST /small HTTP/1.1"),
    request(HTML, "zz<script>: x y", start="GET / HTTP/1.1"),
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_no_byte_of_a_request_is_in_a_page(proxy: Site, data: bytes) -> None:
    with proxy.connect() as client:
        client.send(data)
        answer = client.read_response()
        assert 400 <= answer.status < 600
        body = bytes(answer.body).lower()
        assert not re.search(rb"zz|script|<b>|\{(status|title|detail|request_id)\}", body)
        if answer.values("Connection") == ["close"]:
            assert client.await_end() is End.CLEAN


def test_reload_reads_pages_again_and_refuses_bad_ones(proxy: Site, directory: Path) -> None:
    (directory / "again.html").write_text("<p>down again")
    assert "error_pages.502: content as loaded" in proxy.command("reload").stdout
    assert proxy.curl("--header", HTML, path="/again").stdout == b"<p>down again"
    (directory / "page.json").write_text("{status")
    refused = proxy.command("reload")
    assert refused.returncode == 1
    assert "error_pages.4xx[1]" in refused.stdout + refused.stderr
    assert json.loads(proxy.curl(path="/nothing").stdout)["code"] == 404
