"""The proxy's own answers: small, in the format that the client prefers, silent about what it is made of."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import End
from tests.integration.stage import Site, Upstream, body_of, request, site
from tests.ports import lasting_port

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy without a server behind it."""
    nobody = (f"http://127.0.0.1:{lasting_port()}",)
    upstreams = {
        "down": Upstream(nobody),
        "small": Upstream(nobody, route="body_bytes = 10"),
        "pq": Upstream(nobody, route='pq = "require"'),
    }
    with site(tmp_path_factory.mktemp("errors"), authority, localhost, upstreams) as running:
        yield running


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json", "application/problem+json"),
        (BROWSER, "text/html; charset=utf-8"),
        ("text/html;q=0.2, application/json;q=0.9", "application/problem+json"),
    ],
)
def test_format_is_what_the_client_prefers(proxy: Site, accept: str | None, media_type: str) -> None:
    with proxy.session() as session:
        response = session.get(proxy.url("/nothing"), headers={"Accept": accept})
    assert response.status_code == 404
    assert response.headers["Content-Type"] == media_type
    identifier = response.headers["X-Request-Id"]
    if media_type.startswith("text/html"):
        assert response.text.startswith("<!doctype html>")
        assert "404" in response.text
        assert identifier in response.text
    else:
        assert response.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "nothing is served here",
            "instance": identifier,
        }


def test_head_gets_no_body(proxy: Site) -> None:
    with proxy.connect() as client:
        client.send(request(start="HEAD /nothing HTTP/1.1"))
        answer = client.read_response("HEAD")
        assert answer.status == 404
        assert int(answer.values("Content-Length")[0]) > 50
        client.send(request(start="GET /nothing HTTP/1.1"))
        assert client.read_response().status == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (request(start="GET /nothing HTTP/1.1"), 404),
        (request("Content-Length: 11", start="POST /small/x HTTP/1.1"), 413),
        (request(start="GET /" + "a" * 9_000 + " HTTP/1.1"), 414),
        (request("Expect: a-miracle", "Content-Length: 1", start="POST /small/x HTTP/1.1"), 417),
        (request().replace(b"Host: localhost", b"Host: elsewhere.test"), 421),
        (request("X: " + "a" * 20_000), 431),
        (request(*(f"X-{number}: 1" for number in range(101))), 431),
        (request(start="BREW /down/x HTTP/1.1"), 501),
        (request("Transfer-Encoding: gzip", start="POST /down/x HTTP/1.1"), 501),
        (request(start="GET /down/x HTTP/1.1"), 502),
        (request(start="GET /down/x HTTP/2.0"), 505),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_each_fault_has_its_status(proxy: Site, data: bytes, status: int) -> None:
    with proxy.connect() as client:
        client.send(data)
        answer = client.read_response()
        assert answer.status == status
        text = bytes(answer.body).decode()
        assert f'"status": {status}' in text
        names = {name.decode().lower() for name, _ in answer.headers}
        assert "server" not in names
        assert not re.search(r"traceback|python|plexigate|uvloop|openssl|/work|\.py", text, re.IGNORECASE)
        if answer.values("Connection") == ["close"]:
            assert client.await_end() is End.CLEAN


def test_connection_goes_on_after_a_request_that_was_only_refused(proxy: Site) -> None:
    with proxy.connect() as client:
        for start in ("GET /nothing HTTP/1.1", "GET /down/x HTTP/1.1", "DELETE /nothing HTTP/1.1"):
            client.send(request(start=start))
            assert client.read_response().values("Connection") == []


def test_upload_to_nowhere_is_answered_to_curl(proxy: Site, tmp_path: Path) -> None:
    """curl stops sending when the answer comes, and shows it: the connection is not torn down under it."""
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(20_000_000))
    for path in ("/nothing", "/small/x", "/down/x"):
        completed = proxy.curl("--write-out", "%{http_code}", "--upload-file", str(upload), "--http1.1", path=path)
        status = {"/nothing": b"404", "/small/x": b"413", "/down/x": b"502"}[path]
        assert completed.stdout[-3:] == status, completed.stderr


def test_route_that_demands_a_hybrid_says_how_to_get_in(proxy: Site) -> None:
    completed = proxy.curl("--curves", "X25519", path="/pq/x")
    text = body_of(completed).decode()
    assert '"status": 403' in text
    assert '"group": "X25519"' in text
    assert "X25519MLKEM768" in text
    assert '"remedy"' in text
    assert '"status": 502' in body_of(proxy.curl(path="/pq/x")).decode(), "a hybrid is let through, to nobody"
