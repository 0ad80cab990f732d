"""A route is taken out of service on the running proxy, and stays out over reloads, restarts and new workers."""

import json
import os
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile import http2_frames as h2
from tests.hostile.client import Address, Client
from tests.hostile.http2_client import Http2Client
from tests.integration.stage import Site, Upstream, request, serving, write_configuration
from tests.integration.test_websocket_ends import code_of, frames_of, opened, read, switched
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, scripted

TRICKS = (
    "/open",
    "/open/",
    "/open?x",
    "/%6fpen",
    "/%6Fpen/x",
    "/open%2fx",
    "/open;x",
    "//open",
    "/./open",
    "/x/../open",
    "/open//x",
    "/%2e/open",
    "/\\open",
    "/open%00",
)


class Backend:
    """A server that takes WebSockets, and holds the answer to `/slow` back."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, peer: Peer) -> None:
        """Play one connection."""
        peer.sock.settimeout(None)
        while True:
            head = peer.read_head()
            if b"Upgrade: websocket" in head:
                peer._rest = head
                switched(peer)
                peer.read_to_end()
                return
            if head.startswith(b"GET /slow "):
                self.begun.set()
                assert self.go_on.wait(WAIT_SECONDS)
            peer.send(OK)


@pytest.fixture
def backend() -> Iterator[tuple[Backend, int]]:
    """Two routes lead to it."""
    script = Backend()
    with scripted(script) as server:
        yield script, int(server.url.rpartition(":")[2])


@pytest.fixture
def configuration(tmp_path: Path, localhost: CertificateFiles, backend: tuple[Backend, int]) -> Path:
    """Of a proxy with two workers."""
    (tmp_path / "page.html").write_text("<h1>{status}</h1>")
    servers = (f"http://127.0.0.1:{backend[1]}",)
    upstreams = {"all": Upstream(servers, path="/"), "open": Upstream(servers)}
    extra = (
        '[listener.public]\nbind = "127.0.0.1:0"\nhttp = ["h2", "http/1.1"]\n'
        '[rotation]\nstate = "state"\n[limits]\ndrain_timeout = "2s"\n'
    )
    return write_configuration(tmp_path, localhost, upstreams, extra, workers=2)


def asked(proxy: Site, path: str = "/", *lines: str, source: str = "") -> tuple[int, list[str], bytes]:
    """Status, Retry-After and body of an answer on a new connection."""
    with proxy.connect(source) as client:
        return asked_on(client, path, *lines)


def asked_on(client: Client, path: str = "/", *lines: str) -> tuple[int, list[str], bytes]:
    client.send(request(*lines, start=f"GET {path} HTTP/1.1"))
    answer = client.read_response()
    return answer.status, answer.values("Retry-After"), bytes(answer.body)


def test_a_route_goes_out_of_service_and_comes_back(
    configuration: Path, authority: Authority, backend: tuple[Backend, int]
) -> None:
    page = str(configuration.parent / "page.html")
    with serving(configuration, authority) as proxy:
        address = Address(proxy.port(), proxy.ca)
        with (
            proxy.connect() as kept,
            proxy.connect() as slow,
            opened(proxy, "/chat") as websocket,
            Http2Client(address, "localhost") as h2_client,
        ):
            assert asked_on(kept)[0] == 200
            slow.send(request(start="GET /slow HTTP/1.1"))
            assert backend[0].begun.wait(WAIT_SECONDS)
            h2_client.open()
            h2_client.send(h2.frame(h2.HEADERS, h2.block(h2.fields(b"/", authority=b"localhost")), h2.WHOLE, 1))
            assert h2_client.answer(1).status == 200

            assert proxy.command("maintenance", "on", "localhost/").returncode == 0
            done = proxy.command("maintenance", "on", "localhost/", "--page", page, "--retry-after", "77")
            assert done.stdout == (
                "Route localhost/ is under maintenance: clients get 503 and may come again after 77 s.\n"
            )
            for _ in range(10):  # in both workers
                assert asked(proxy, "/", "Accept: text/html") == (503, ["77"], b"<h1>503</h1>")
            status, _, body = asked_on(kept)
            assert (status, json.loads(body)["detail"]) == (503, "this service is under maintenance")
            assert asked_on(kept, "/open")[0] == 200
            h2_client.send(h2.frame(h2.HEADERS, h2.block(h2.fields(b"/", authority=b"localhost")), h2.WHOLE, 3))
            answer = h2_client.answer(3)
            assert (answer.status, answer.heads[0]["retry-after"]) == (503, "77")
            (frame,) = frames_of(read(websocket))
            assert code_of(frame) == 1012
            backend[0].go_on.set()
            assert slow.read_response().status == 200

        listed = proxy.command("maintenance").stdout.splitlines()
        assert [line.split()[0] for line in listed] == ["route", "localhost/"]
        status_document = json.loads(proxy.command("status", "--json").stdout)
        assert [one["route"] for one in status_document["maintenance"]] == ["localhost/"]
        assert "localhost/" in proxy.command("status").stdout
        assert proxy.command("reload").returncode == 0
        assert asked(proxy)[0] == 503
        os.kill(proxy.worker_pids[0], signal.SIGKILL)
        proxy.program.wait_for(lambda output: [line for line in output if '"worker_joined"' in line] or None)
        assert {asked(proxy)[0] for _ in range(10)} == {503}

    kept_file = configuration.parent / "state" / "maintenance.json"
    assert stat.S_IMODE(kept_file.stat().st_mode) == 0o600
    with serving(configuration, authority) as proxy:
        assert asked(proxy, "/", "Accept: text/html") == (503, ["77"], b"<h1>503</h1>")
        assert proxy.command("maintenance", "off", "localhost/").stdout == "Route localhost/ is back in service.\n"
        assert {asked(proxy)[0] for _ in range(5)} == {200}
        again = proxy.command("maintenance", "off", "localhost/")
        assert again.returncode == 1
        assert 'route "localhost/" is not in maintenance' in again.stderr
        assert proxy.command("maintenance").stdout == "No route is under maintenance.\n"


def test_operators_are_let_through_and_no_spelling_of_a_path_is(configuration: Path, authority: Authority) -> None:
    with serving(configuration, authority) as proxy:
        done = proxy.command("maintenance", "on", "localhost/open", "--allow", "127.0.0.2", "--allow", "10.0.0.0/8")
        assert done.returncode == 0
        assert asked(proxy, "/open", source="127.0.0.2")[0] == 200
        for forged in ("X-Forwarded-For: 127.0.0.2", "Forwarded: for=127.0.0.2", "X-Real-IP: 127.0.0.2"):
            assert asked(proxy, "/open", forged)[0] == 503
        assert {path: asked(proxy, path)[0] for path in TRICKS}.items() <= {
            (path, status) for path in TRICKS for status in (400, 503)
        }
        assert asked(proxy, "/")[0] == 200
        unknown = proxy.command("maintenance", "on", "localhost")
        assert unknown.returncode == 1
        assert 'there is no route "localhost"; there is "localhost/", "localhost/open"' in unknown.stderr
