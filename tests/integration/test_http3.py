"""HTTP/3 as curl speaks it, through a whole proxy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.quic.availability import unavailable
from tests.configurations import listener
from tests.integration.gateway import Gateway, Trust, events, gateway
from tests.integration.upstreams import Peer, ScriptedServer, scripted

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

LISTENERS = listener("standard", http3=True) + listener("without")
BODY = bytes(range(256)) * 4_096


def script(peer: Peer) -> None:
    """Answer with what came."""
    for message in peer.requests():
        body = message.body or json.dumps({"target": message.target, "group": message.values("X-TLS-Group")}).encode()
        if message.target == "/large":
            body = BODY
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with scripted(script) as server:
        yield server


@pytest.fixture(scope="module")
def running(trust: Trust, server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("http3"), trust, server, LISTENERS) as running:
        yield running


def lines(running: Gateway, path: str) -> dict[str, object]:
    """The line of the access log of a request for a path."""

    def find(output: list[str]) -> dict[str, object] | None:
        entries = [json.loads(line) for line in output if line.startswith("{")]
        return next((one for one in entries if one.get("path") == path), None)

    return running.program.wait_for(find)


def test_a_request_is_answered_and_logged_with_its_group(running: Gateway) -> None:
    said = running.curl("--http3-only", path="/first?a=b")
    assert said.status == 0, said.errors
    assert json.loads(said.output) == {"target": "/first?a=b", "group": ["X25519MLKEM768"]}
    line = lines(running, "/first")
    assert (line["protocol"], line["group"], line["status"]) == ("h3", "X25519MLKEM768", 200)
    assert (line["outcome"], line["resumed"]) == ("hybrid", False)


def test_bodies_go_both_ways_whole(running: Gateway, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(BODY)
    got = tmp_path / "got"
    said = running.curl("--http3-only", "--data-binary", f"@{body}", "--output", str(got), path="/echo")
    assert said.status == 0, said.errors
    assert got.read_bytes() == BODY
    assert lines(running, "/echo")["request_bytes"] == len(BODY)


def test_many_requests_share_a_connection(running: Gateway) -> None:
    said = running.curl(
        "--http3-only",
        "--parallel",
        "--write-out",
        "%{http_version} %{num_connects}\n",
        "--output",
        "/dev/null",
        path="/[1-40]",
    )
    assert said.status == 0, said.errors
    told = said.output.split()
    assert told[0::2] == ["3"] * 40
    assert told[1::2].count("1") == 1


def test_head_has_no_body_and_an_unknown_path_is_an_error_of_ours(running: Gateway) -> None:
    said = running.curl("--http3-only", "--head", path="/head")
    assert said.status == 0, said.errors
    assert said.output.startswith("HTTP/3 200")
    said = running.curl("--http3-only", "--include", host="files.test", path="/")
    assert said.status == 0, said.errors
    said = running.curl("--http3-only", "--write-out", "%{http_code}", "-H", "Host: other.example", path="/wrong-host")
    assert said.output.endswith("421")


def test_a_listener_without_it_takes_no_datagrams(running: Gateway) -> None:
    said = running.curl("--http3-only", "--connect-timeout", "1", on="without")
    assert said.status != 0


def test_a_name_that_nobody_has_is_refused_by_its_alert(running: Gateway) -> None:
    said = running.curl("--http3-only", host="unknown.example")
    assert said.status != 0
    failed = running.program.wait_for(lambda output: next(iter(events(output, "handshake_failed")), None))
    assert (failed["reason"], failed["name"], failed["alert"]) == (
        "unrecognized_name",
        "unknown.example",
        "unrecognized_name",
    )


@pytest.mark.parametrize("curves", ["X25519", "X25519:X25519MLKEM768"])
def test_a_classical_client_gets_what_its_groups_allow(running: Gateway, curves: str) -> None:
    said = running.curl("--http3-only", "--curves", curves, path=f"/{len(curves)}")
    assert said.status == 0, said.errors
    assert json.loads(said.output)["group"] == ["X25519" if curves == "X25519" else "X25519MLKEM768"]
