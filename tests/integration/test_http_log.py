"""The access log as it is written: every field, valid whatever clients send, to a file, and for people."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address, Client
from tests.integration.stage import Site, Upstream, request, site, write_configuration
from tests.integration.upstreams import OK, answering, scripted
from tests.programs import PLEXIGATE, end

FIELDS = {
    "time",
    "client",
    "listener",
    "name",
    "host",
    "method",
    "path",
    "status",
    "request_bytes",
    "response_bytes",
    "first_byte_ms",
    "duration_ms",
    "upstream",
    "route",
    "group",
    "outcome",
    "resumed",
    "protocol",
    "request_id",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the upstream's socket is."""
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def upstreams(directory: Path) -> dict[str, Upstream]:
    """One server."""
    return {"raw": Upstream((f"unix:{directory / 'raw.sock'}",), path="/")}


@pytest.fixture(scope="module")
def proxy(
    directory: Path, upstreams: dict[str, Upstream], authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy that logs as it does by default."""
    with site(directory, authority, localhost, upstreams) as running:
        yield running


def ask(proxy: Site, directory: Path, data: bytes) -> None:
    """Send a request and have it answered."""
    with scripted(answering(OK), directory / "raw.sock"), proxy.connect() as client:
        client.send(data)
        assert client.read_response().status == 200


def test_line_has_every_field(proxy: Site, directory: Path) -> None:
    before = datetime.now(UTC)  # noqa: TID251 - compared with what the proxy's clock says
    ask(proxy, directory, request("Content-Length: 3", start="POST /field?secret=1 HTTP/1.1", body=b"abc"))
    record = proxy.record("/field")
    assert set(record) == FIELDS
    time = datetime.fromisoformat(record["time"])
    assert before - timedelta(seconds=1) < time < before + timedelta(seconds=10)
    assert (record["client"], record["listener"], record["name"]) == ("127.0.0.1", "public", "localhost")
    assert (record["host"], record["method"], record["status"]) == ("localhost", "POST", 200)
    assert (record["request_bytes"], record["response_bytes"]) == (3, 2)
    assert 0 < record["first_byte_ms"] <= record["duration_ms"] < 10_000
    assert record["upstream"] == f"unix:{directory / 'raw.sock'}"
    assert record["route"] == "localhost/"
    assert (record["group"], record["outcome"], record["resumed"]) == ("X25519MLKEM768", "hybrid", False)
    assert record["protocol"] == "http/1.1"
    assert record["request_id"]


def test_bytes_of_the_socket_add_up(
    directory: Path, upstreams: dict[str, Upstream], authority: Authority, localhost: CertificateFiles
) -> None:
    with site(directory, authority, localhost, upstreams, extra='[log]\nfields = ["wire_bytes"]\n') as proxy:
        with scripted(answering(OK, OK), directory / "raw.sock"), proxy.connect() as client:
            for path in ("/first", "/second"):
                client.send(request(start=f"GET {path} HTTP/1.1"))
                assert client.read_response().status == 200
        first, second = proxy.record("/first"), proxy.record("/second")
    asked = len(request(start="GET /second HTTP/1.1"))
    # RFC 8446 section 5.2: a header of 5 bytes, the type of 1, and the tag of 16
    assert second["wire_bytes_in"] == asked + 22
    assert 22 < second["wire_bytes_out"] < 1_000
    # the handshake: shares of 1,216 and 1,120 bytes, and our certificate
    assert first["wire_bytes_in"] > 1_216 + asked
    assert first["wire_bytes_out"] > 1_120 + second["wire_bytes_out"]


def test_query_is_nobodys_business_by_default(proxy: Site, directory: Path) -> None:
    ask(proxy, directory, request(start="GET /quiet?token=secret HTTP/1.1"))
    proxy.record("/quiet")
    assert not any("secret" in line for line in proxy.program.output)


@pytest.mark.parametrize(
    "path", ["/%22%7D%0A%7B", "/%E2%80%AE", "/a'b;c=d,e", "/" + "long" * 1_000], ids=["json", "rtl", "marks", "long"]
)
def test_hostile_path_stays_one_line_of_json(proxy: Site, directory: Path, path: str) -> None:
    ask(proxy, directory, request(start=f"GET {path} HTTP/1.1"))
    shown = path if len(path) < 1_000 else path[:1_024] + "..."
    assert proxy.record(shown)["status"] == 200


def test_bytes_that_are_no_request_have_a_line_too(proxy: Site) -> None:
    with proxy.connect() as client:
        client.send(b'GET /"\x1b[31m\xff\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n')
        answer = client.read_response()
        assert answer.status == 400
    (identifier,) = answer.values("X-Request-Id")

    def find(output: list[str]) -> dict[str, Any] | None:
        return next((json.loads(line) for line in output if identifier in line), None)

    record = proxy.program.wait_for(find)
    assert (record["status"], record["method"], record["host"]) == (400, "GET", "localhost")
    assert record["path"] == '/"?[31m??'
    assert record["response_bytes"] == len(answer.body)
    assert record["error"].startswith("malformed_request: ")


def test_every_line_is_json(proxy: Site) -> None:
    assert all(isinstance(json.loads(line), dict) for line in proxy.program.output)


def test_failed_handshake_has_a_line_with_its_reason(proxy: Site) -> None:
    completed = proxy.curl("--connect-to", f"::127.0.0.1:{proxy.port()}", url="https://other.test/")
    assert completed.returncode != 0

    def find(output: list[str]) -> dict[str, Any] | None:
        events = [json.loads(line) for line in output]
        return next((event for event in events if event.get("event") == "handshake_failed"), None)

    event = proxy.program.wait_for(find)
    assert (event["reason"], event["name"], event["alert"]) == ("unrecognized_name", "other.test", "unrecognized_name")
    assert event["groups"][0] == "X25519MLKEM768"
    assert (event["client"], event["listener"]) == ("127.0.0.1", "public")


def test_start_says_what_is_really_offered(proxy: Site) -> None:
    ready = next(event for line in proxy.program.output if (event := json.loads(line)).get("event") == "ready")
    assert re.match(r"OpenSSL|3\.", ready["openssl"])
    assert "default" in ready["providers"]
    offers = ready["offers"]["public"]
    assert "X25519MLKEM768" in offers["groups"]
    assert offers["pq"] == "prefer"
    assert offers["identities"] == {"local": ["ecdsa-p256"]}


def line_of(path: Path, find: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for a line in a file."""
    pause = threading.Event()
    for _ in range(500):
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        for line in lines:
            if line.endswith("\n") and find(entry := json.loads(line)):
                assert isinstance(entry, dict)
                return entry
        pause.wait(0.02)  # never set
    raise AssertionError(path.read_text() if path.exists() else "no log")


def test_lines_go_to_a_file_that_may_be_renamed(
    directory: Path, upstreams: dict[str, Upstream], tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> None:
    """As logrotate does it, with the query, which is asked for here."""
    path, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    extra = f'[log]\nfile = "{path}"\nquery = true\n'
    configuration = write_configuration(tmp_path, localhost, upstreams, extra)
    with subprocess.Popen([PLEXIGATE, "run", str(configuration)], stdout=subprocess.PIPE) as process:
        try:
            ready = line_of(path, lambda entry: entry.get("event") == "ready")
            address = Address(int(ready["listeners"]["public"][0].rpartition(":")[2]), authority.path)
            with scripted(answering(OK, OK), directory / "raw.sock"), Client(address, "localhost") as client:
                client.send(request(start="GET /first?a=b HTTP/1.1"))
                assert client.read_response().status == 200
                assert line_of(path, lambda entry: entry.get("path") == "/first")["query"] == "a=b"
                path.rename(rotated)
                process.send_signal(signal.SIGUSR1)
                client.send(request(start="GET /second HTTP/1.1"))
                assert client.read_response().status == 200
                assert line_of(path, lambda entry: entry.get("path") == "/second")["query"] == ""
        finally:
            end(process)
        assert process.stdout is not None
        assert process.stdout.read() == b"", "nothing of it goes to the terminal"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "/second" not in rotated.read_text()
    assert json.loads(path.read_text().splitlines()[-1])["event"] == "stopped"


def test_people_get_lines_that_they_can_read(
    directory: Path, upstreams: dict[str, Upstream], authority: Authority, localhost: CertificateFiles
) -> None:
    with site(directory, authority, localhost, upstreams, is_pretty=True) as proxy:
        ask(proxy, directory, request(start="GET /pretty%1B%5B31m HTTP/1.1"))
        with proxy.connect() as client:
            client.send(b"\x1b[31mGARBAGE\r\n\r\n")
            assert client.read_response().status == 400

        def find(output: list[str]) -> str | None:
            lines = [line for line in output if "/pretty" in line]
            return lines[0] if lines and any("malformed_request" in line for line in output) else None

        line = proxy.program.wait_for(find)
        output = list(proxy.program.output)
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}Z  200  GET +localhost/pretty%1B%5B31m", line)
    assert "X25519MLKEM768" in line
    assert not any("\x1b" in line for line in output), "no colours, and nothing of a client's, where no terminal is"
    assert any("groups  X25519MLKEM768" in line for line in output)
