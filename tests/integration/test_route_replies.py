"""What routes answer without a server, to real clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, site

ROUTES = """
[[route]]
host = "localhost"
path = "/.well-known/matrix/client"
respond = { headers = { Content-Type = "application/json", Access-Control-Allow-Origin = "*" }, body = '{"m.homeserver": {}}' }
[[route]]
host = "localhost"
path = "/robots.txt"
respond = { file = "robots.txt" }
[[route]]
host = "localhost"
path = "/gone"
respond = { status = 410 }
[[route]]
host = "localhost"
path = "/old"
redirect = { to = "https://localhost:1/new{path}{query}" }
"""


@pytest.fixture
def proxy(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy that needs no server."""
    (tmp_path / "robots.txt").write_text("User-agent: *\n")
    with site(tmp_path, authority, localhost, {}, ROUTES) as running:
        yield running


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_clients_get_what_the_configuration_says(proxy: Site, version: str, tmp_path: Path) -> None:
    answer = proxy.curl(version, "--include", path="/.well-known/matrix/client").stdout.decode()
    head, _, body = answer.partition("\r\n\r\n")
    fields = head.lower().splitlines()
    assert fields[0].split()[1] == "200"
    assert body == '{"m.homeserver": {}}'
    assert {"content-type: application/json", "access-control-allow-origin: *", "content-length: 20"} <= set(fields)
    preflight = proxy.curl(version, "--include", "--request", "OPTIONS", path="/.well-known/matrix/client").stdout
    assert b" 204" in preflight.splitlines()[0]
    assert b"access-control-allow-methods: get, head" in preflight.lower()
    head = proxy.curl(version, "--head", path="/robots.txt").stdout.decode().lower()
    assert "content-length: 14\r\n" in head
    assert "content-type: text/plain; charset=utf-8\r\n" in head
    etag = tmp_path / "etag"
    first = proxy.curl(version, "--etag-save", str(etag), "--write-out", "%{http_code}", path="/robots.txt").stdout
    second = proxy.curl(version, "--etag-compare", str(etag), "--write-out", "%{http_code}", path="/robots.txt").stdout
    assert (first, second) == (b"User-agent: *\n200", b"304")
    whole = proxy.curl(version, "--range", "0-3", "--write-out", "%{http_code}", path="/robots.txt").stdout
    assert whole == b"User-agent: *\n200"
    assert proxy.curl(version, "--write-out", "%{http_code}", path="/gone").stdout == b"410"
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(3_000_000))
    written = "%{http_code} %{redirect_url}"
    moved = proxy.curl(version, "--write-out", written, "--upload-file", str(upload), path="/old/a?b=c").stdout
    assert moved == b"308 https://localhost:1/new/old/a?b=c"
    refused = proxy.curl(version, "--include", "--data", "x", path="/robots.txt").stdout.decode().lower()
    assert "allow: get, head" in refused
    assert {record["route"] for record in proxy.records("/robots.txt", 5)} == {"localhost/robots.txt"}


def test_a_reload_reads_the_file_again_and_a_bad_file_changes_nothing(proxy: Site, tmp_path: Path) -> None:
    file = tmp_path / "robots.txt"
    file.write_text("User-agent: none\n")
    changed = proxy.command("reload")
    assert changed.returncode == 0
    assert "route[1].respond.file: content as loaded" in changed.stdout
    assert proxy.curl(path="/robots.txt").stdout == b"User-agent: none\n"
    file.write_bytes(bytes(1_048_577))
    refused = proxy.command("reload")
    assert refused.returncode != 0
    assert "route[1].respond.file" in refused.stdout + refused.stderr
    assert proxy.curl(path="/robots.txt").stdout == b"User-agent: none\n"
