"""Asking an admin socket."""

import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.values.problems import ConfigError
from proxy.admin.client import AdminAbsent, AdminUnreachable, UnixAdminClient, connect
from tests.configurations import Site


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers each request with `answer`, and remembers its request line."""

    answer: bytes
    asked: list[str]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked.append(self.requestline)
        self.send_response(409)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def do_GET(self) -> None:
        self.do_POST()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(str(tmp_path / "admin.sock"), Answer) as server:
        server.answer, server.asked = b'{"ok": false}', []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_status_and_json(server: Server) -> None:
    client = connect(None, Path(str(server.server_address)))
    assert client.post("/reload", {"dry_run": "1"}) == (409, {"ok": False})
    assert client.post("/reload", {}) == (409, {"ok": False})
    assert client.get("/status") == (409, {"ok": False})
    assert server.asked == [
        "POST /reload?dry_run=1 HTTP/1.1",
        "POST /reload HTTP/1.1",
        "GET /status HTTP/1.1",
    ]


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_answers_of_somebody_else(server: Server, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(AdminUnreachable, match="does Plexigate listen there"):
        connect(None, Path(str(server.server_address))).post("/reload", {})


def test_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with pytest.raises(AdminAbsent, match=r"admin\.sock: No such file or directory; is Plexigate running"):
        UnixAdminClient(path).post("/reload", {})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        with pytest.raises(AdminAbsent, match="Connection refused"):
            UnixAdminClient(path).post("/reload", {})


class TestFinding:
    """Which socket is asked."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return Site.make(tmp_path)

    def test_a_path_is_the_path(self, site: Site) -> None:
        assert connect(site.write(site.minimal), Path("a.sock")).path == Path("a.sock")

    def test_a_configuration_that_names_one(self, site: Site) -> None:
        file = site.directory / "named.toml"
        file.write_text(site.minimal + '[admin]\nsocket = "run/admin.sock"\n')
        assert connect(file, None).path == file.parent / "run/admin.sock"

    def test_a_configuration_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError):
            connect(tmp_path / "missing.toml", None)

    @pytest.mark.parametrize("with_file", [False, True])
    def test_without_one_it_is_the_default(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_file: bool
    ) -> None:
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "plexigate"))
        file = site.directory / "plain.toml"
        file.write_text(site.minimal)
        assert connect(file if with_file else None, None).path == tmp_path / "plexigate" / "admin.sock"

    def test_the_first_one_that_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        there = tmp_path / "there.sock"
        there.touch()
        monkeypatch.setattr(
            "proxy.admin.client.sockets_to_try", lambda _environment, _user: (tmp_path / "missing.sock", there)
        )
        assert connect(None, None).path == there
