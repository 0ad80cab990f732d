"""Limits on requests and on slow clients, each reached by real clients: the answer, what becomes of the connection, the log."""

import json
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.limits.reasons import RequestReason, request_reason
from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, End
from tests.integration.limited import Limited, Stage
from tests.integration.stage import request
from tests.integration.upstreams import Peer

pytestmark = pytest.mark.paced

OTHER = "127.0.0.2"
RATE = 'rate = {{ requests_per_second = 0.1, burst = 2, per = "{}" }}\n'


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Stage:
    return Stage(tmp_path, authority, localhost)


def statuses(client: Client, count: int) -> list[int]:
    """What so many requests are answered with, on one connection."""
    answers = []
    for _ in range(count):
        client.send(request())
        answers.append(client.read_response().status)
    return answers


def reasons(limited: Limited) -> list[tuple[int, RequestReason | None]]:
    """Status and reason of each request that was not simply served."""
    lines = [json.loads(line) for line in limited.site.program.output if line.startswith("{")]
    return [
        (line["status"], request_reason(line["status"], line["error"]))
        for line in lines
        if "status" in line and line.get("error")
    ]


def test_request_rate_of_each_client(stage: Stage) -> None:
    with stage.limited("", route=RATE.format("client")) as limited:
        with limited.connect() as client:
            assert statuses(client, 2) == [200, 200]
            client.send(request())
            refused = client.read_response()
            assert refused.status == 429
            assert refused.values("Content-Type") == ["application/problem+json"]
            (retry_after,) = refused.values("Retry-After")
            assert 1 <= int(retry_after) <= 10
            assert refused.values("Connection") == []
            assert statuses(client, 1) == [429]
        with limited.connect() as again, limited.connect(OTHER) as other:
            assert statuses(again, 1) == [429]
            assert statuses(other, 3) == [200, 200, 429]
    assert reasons(limited) == [(429, RequestReason.RATE)] * 4


def test_request_rate_of_a_route(stage: Stage) -> None:
    with (
        stage.limited("", route=RATE.format("route")) as limited,
        limited.connect() as client,
        limited.connect(OTHER) as other,
    ):
        assert statuses(client, 1) + statuses(other, 2) + statuses(client, 1) == [200, 200, 429, 429]
    assert reasons(limited) == [(429, RequestReason.RATE)] * 2


def test_token_comes_when_it_was_said_to(stage: Stage) -> None:
    rate = 'rate = { requests_per_second = 1.5, burst = 1, per = "client" }\n'
    with stage.limited("", route=rate) as limited, limited.connect() as client:
        assert statuses(client, 2) == [200, 429]
        threading.Event().wait(1)  # never set: what Retry-After says
        assert statuses(client, 1) == [200]


def test_networks_that_are_exempt_have_no_rate(stage: Stage) -> None:
    listener = f'[listener.public]\nbind = "127.0.0.1:0"\nexempt = ["{OTHER}"]\n'
    with (
        stage.limited(listener, route=RATE.format("route")) as limited,
        limited.connect(OTHER) as exempt,
        limited.connect() as client,
    ):
        assert statuses(exempt, 5) == [200] * 5
        assert statuses(client, 3) == [200, 200, 429]


SESSIONS = f"""
[listener.public]
bind = "127.0.0.1:0"
exempt = ["127.0.0.3"]
[payload]
directory = "payload"
[payload.sessions]
{RATE.format("client")}"""


def test_sessions_are_asked_for_at_a_rate(stage: Stage) -> None:
    """Each client network for itself, over both workers; the keys are read as often as anybody likes."""
    asked = request("Content-Length: 2", start="POST /.well-known/payload-sessions HTTP/1.1", body=b"{}")
    read = request(start="GET /.well-known/payload-keys HTTP/1.1")
    route = 'payload = "accept"\npayload_sessions = true\n'

    def status(client: Client, message: bytes = asked) -> int:
        client.send(message)
        return client.read_response().status

    with stage.limited(SESSIONS, route=route, workers=2) as limited, ExitStack() as connections:
        clients = [connections.enter_context(limited.connect()) for _ in range(4)]
        assert [status(client, read) for client in clients] == [200] * 4
        assert [status(client) for client in clients] == [400, 400, 429, 429]
        clients[0].send(asked)
        refused = clients[0].read_response()
        assert (refused.status, refused.values("Content-Type")) == (429, ["application/problem+json"])
        assert 1 <= int(refused.values("Retry-After")[0]) <= 10
        with limited.connect(OTHER) as other, limited.connect("127.0.0.3") as exempt:
            assert status(other) == 400
            assert [status(exempt) for _ in range(4)] == [400] * 4
        counted = limited.site.admin.failures()
    assert counted["public", "request_rate"] == 3
    assert counted["public", "payload"] == 7


SMALL = """
[limits]
head_bytes = 1_024
header_bytes = 512
target_bytes = 64
body_bytes = 100
head_seconds = 0.3
body_idle_seconds = 0.3
"""
CHUNKED = ("Transfer-Encoding: chunked",)


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (request("X: " + "x" * 600), 431, RequestReason.HEAD_TOO_LARGE),
        (request("X: " + "x" * 400, "Y: " + "y" * 400, "Z: " + "z" * 400), 431, RequestReason.HEAD_TOO_LARGE),
        (request(start=f"GET /{'x' * 64} HTTP/1.1"), 414, RequestReason.TARGET_TOO_LONG),
        (request("Content-Length: 101", start="POST / HTTP/1.1"), 413, RequestReason.BODY_TOO_LONG),
        (request(*CHUNKED, start="POST / HTTP/1.1", body=b"65\r\n" + bytes(101)), 413, RequestReason.BODY_TOO_LONG),
        (b"GET / HTTP/1.1\r\nHo", 408, RequestReason.HEAD_TIMEOUT),
        (request("Content-Length: 9", start="POST / HTTP/1.1"), 408, RequestReason.BODY_TIMEOUT),
        (request(*CHUNKED, start="POST / HTTP/1.1", body=b"z\r\n"), 400, RequestReason.MALFORMED_BODY),
        (b"GET  / HTTP/1.1\r\n\r\n", 400, RequestReason.MALFORMED_REQUEST),
    ],
)
def test_request_that_is_over_a_limit(stage: Stage, sent: bytes, status: int, reason: RequestReason) -> None:
    with stage.limited(SMALL) as limited, limited.connect() as client:
        client.send(sent)
        answer = client.read_response()
        assert (answer.status, answer.values("Connection")) == (status, ["close"])
        assert client.await_end() is End.CLEAN
    assert reasons(limited) == [(status, reason)]


def test_body_that_drips(stage: Stage) -> None:
    pause = threading.Event()
    with stage.limited("[limits]\nbody_idle_seconds = 0.5\n") as limited, limited.connect() as client:
        client.send(request("Content-Length: 99", start="POST / HTTP/1.1"))
        for _ in range(12):
            pause.wait(0.1)  # never set
            client.send(b"x")
        assert client.read_response().status == 408
        assert client.await_end() is End.CLEAN
    assert reasons(limited) == [(408, RequestReason.BODY_TOO_SLOW)]


def test_body_that_was_told_to_continue_and_does_not_come(stage: Stage) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.read_to_end()

    limits = "[limits]\nbody_idle_seconds = 0.3\n"
    with stage.limited(limits, script=script) as limited, limited.connect() as client:
        client.send(request("Content-Length: 9", "Expect: 100-continue", start="POST / HTTP/1.1"))
        assert [client.read_response().status for _ in range(2)] == [100, 408]
        assert client.await_end() is End.CLEAN
    assert reasons(limited) == [(408, RequestReason.BODY_TIMEOUT)]


def large(peer: Peer) -> None:
    """Send a response that no buffer can hold."""
    peer.read_head()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        peer.send(bytes(100_000))


def test_reader_that_takes_nothing(stage: Stage) -> None:
    limits = "[limits]\nwrite_idle_seconds = 0.5\n"
    with stage.limited(limits, script=large) as limited, limited.connect(receive_bytes=16_384) as client:
        client.send(request())
        limited.site.record("/")
    assert reasons(limited) == [(499, RequestReason.READER_TIMEOUT)]


@pytest.mark.parametrize(("per_second", "is_cut"), [(4_000_000, True), (10_000, False)])
def test_reader_that_takes_little(stage: Stage, per_second: int, is_cut: bool) -> None:  # noqa: FBT001 - a parameter
    """Some 100 KB a second, for longer than it may take nothing: whether that is enough is a matter of the rate."""
    limits = f"[limits]\nwrite_idle_seconds = 0.5\nresponse_bytes_per_second = {per_second}\n"
    pause = threading.Event()
    with stage.limited(limits, script=large) as limited:
        with limited.connect(receive_bytes=16_384) as client:
            client.send(request())
            was_cut = False
            for _ in range(25):
                client.sock.recv(10_000)
                pause.wait(0.1)  # never set
                if was_cut := bool(reasons(limited)):
                    break
        limited.site.record("/")
    assert was_cut is is_cut
    assert reasons(limited) == [(499, RequestReason.READER_TOO_SLOW if is_cut else RequestReason.GIVEN_UP)]


def test_upload_that_its_server_holds_back_is_not_a_slow_client(stage: Stage) -> None:
    """The server takes nothing for longer than a client may send nothing, then all of it."""
    body = bytes(20_000_000)
    waits = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_head()
        waits.set()
        threading.Event().wait(1.5)  # never set
        peer.read(len(body))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    limits = "[limits]\nbody_idle_seconds = 0.3\nbody_bytes_per_second = 100_000\n"
    with stage.limited(limits, script=script) as limited, limited.connect() as client:
        client.send(request(f"Content-Length: {len(body)}", start="POST / HTTP/1.1") + body[:70_000])
        assert waits.wait(10)  # that is more than what is gathered before a server is asked
        client.send(body[70_000:])
        assert client.read_response().status == 200
    assert reasons(limited) == []


def test_client_that_waits_for_its_answer_owes_nothing(stage: Stage) -> None:
    """A long poll: no bytes wait for it, so it is not slow in taking them."""

    def script(peer: Peer) -> None:
        peer.read_request()
        threading.Event().wait(1.5)  # never set
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    limits = "[limits]\nwrite_idle_seconds = 0.3\nbody_idle_seconds = 0.3\nkeep_alive_seconds = 0.3\n"
    with stage.limited(limits, script=script) as limited, limited.connect() as client:
        client.send(request())
        assert client.read_response().status == 200
    assert reasons(limited) == []
