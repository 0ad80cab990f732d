"""Limits on requests and on slow clients, each reached by real clients: the answer, what becomes of the connection, the log."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.limits.reasons import RequestReason, request_reason
from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, End
from tests.integration.limited import Limited, Stage, answering_all
from tests.integration.stage import Upstream, request, serving, write_configuration
from tests.integration.upstreams import Peer, scripted
from tests.waiting import until_found

pytestmark = pytest.mark.paced

OTHER, EXEMPT, BALANCER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
LISTENER = (
    f'[listener.public]\nbind = "127.0.0.1:0"\nexempt = ["{EXEMPT}", "{BALANCER}"]\ntrusted_peers = ["{BALANCER}"]\n'
)
RATE = 'rate = {{ requests_per_second = 0.1, burst = 2, per = "{}" }}\n'
RATES = {
    "balanced": RATE.format("client"),
    "client": RATE.format("client"),
    "route": RATE.format("route"),
    "trusting": RATE.format("route"),
    "soon": 'rate = { requests_per_second = 1.5, burst = 1, per = "client" }\n',
}
"""The routes of `rated`, one for each test, as tokens that are taken stay so."""


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Stage:
    return Stage(tmp_path, authority, localhost)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles) -> Stage:
    """The stage of the proxies that several tests ask, each on a path of its own."""
    return Stage(tmp_path_factory.mktemp("requests"), authority, localhost)


@pytest.fixture(scope="module")
def rated(shared: Stage) -> Iterator[Limited]:
    """A proxy with rates."""
    with scripted(answering_all) as server:
        upstreams = {name: Upstream((server.url,), route=rate) for name, rate in RATES.items()}
        configuration = write_configuration(shared.directory, shared.certificate, upstreams, LISTENER)
        with serving(configuration, shared.authority) as running:
            yield Limited(running)


@pytest.fixture(scope="module")
def small(shared: Stage) -> Iterator[Limited]:
    """A proxy that takes only small requests, and those soon."""
    with shared.limited(SMALL) as limited:
        yield limited


@pytest.fixture(scope="module")
def hurried(shared: Stage) -> Iterator[Limited]:
    """A proxy that waits for no client, in front of a server that plays what the path says."""
    with shared.limited(HURRIED, script=play) as limited:
        yield limited


def statuses(client: Client, count: int, path: str) -> list[int]:
    """What so many requests are answered with, on one connection."""
    answers = []
    for _ in range(count):
        client.send(request(start=f"GET {path} HTTP/1.1"))
        answers.append(client.read_response().status)
    return answers


def answers(limited: Limited) -> list[tuple[str, int, RequestReason | None]]:
    """Path, status and reason, if there is one, of each request so far."""
    lines = [json.loads(line) for line in list(limited.site.program.output) if line.startswith("{")]
    return [
        (
            line["path"] or "",
            line["status"],
            request_reason(line["status"], line["error"]) if line.get("error") else None,
        )
        for line in lines
        if "status" in line
    ]


def reasons(limited: Limited, path: str = "/") -> list[tuple[int, RequestReason | None]]:
    """Status and reason of each request for a path that was not simply served."""
    return [(status, reason) for asked, status, reason in answers(limited) if asked == path and reason]


def settled(limited: Limited, path: str, count: int) -> list[tuple[int, RequestReason | None]]:
    """The same, once so many requests for the path were logged, served ones included."""
    until_found(lambda: len([asked for asked, *_ in answers(limited) if asked == path]) >= count)
    return reasons(limited, path)


def test_request_rate_of_each_client(rated: Limited) -> None:
    with rated.connect() as client:
        assert statuses(client, 2, "/client") == [200, 200]
        client.send(request(start="GET /client HTTP/1.1"))
        refused = client.read_response()
        assert refused.status == 429
        assert refused.values("Content-Type") == ["application/problem+json"]
        (retry_after,) = refused.values("Retry-After")
        assert 1 <= int(retry_after) <= 10
        assert refused.values("Connection") == []
        assert statuses(client, 1, "/client") == [429]
    with rated.connect() as again, rated.connect(OTHER) as other:
        assert statuses(again, 1, "/client") == [429]
        assert statuses(other, 3, "/client") == [200, 200, 429]
    assert settled(rated, "/client", 8) == [(429, RequestReason.RATE)] * 4


def test_request_rate_of_a_route(rated: Limited) -> None:
    with rated.connect() as client, rated.connect(OTHER) as other:
        first = statuses(client, 1, "/route")
        assert first + statuses(other, 2, "/route") + statuses(client, 1, "/route") == [200, 200, 429, 429]
    assert settled(rated, "/route", 4) == [(429, RequestReason.RATE)] * 2


def test_token_comes_when_it_was_said_to(rated: Limited) -> None:
    with rated.connect() as client:
        assert statuses(client, 2, "/soon") == [200, 429]
        threading.Event().wait(1)  # never set: what Retry-After says
        assert statuses(client, 1, "/soon") == [200]


def test_clients_behind_an_exempt_balancer_have_a_rate_each(rated: Limited) -> None:
    """Over HTTP/1.1; `admit` is shared by both versions."""

    def asked(client: Client, address: str) -> int:
        client.send(request(f"X-Forwarded-For: 6.6.6.6, {address}", start="GET /balanced HTTP/1.1"))
        return client.read_response().status

    with rated.connect(BALANCER) as balancer:
        assert [asked(balancer, "198.51.100.1") for _ in range(3)] == [200, 200, 429]
        assert [asked(balancer, "198.51.100.2") for _ in range(3)] == [200, 200, 429]
        assert [asked(balancer, "unknown") for _ in range(3)] == [200, 200, 429], (
            "the balancer, which is not exempt here"
        )
        assert statuses(balancer, 1, "/balanced") == [429], "it names nobody, as in its health checks"


def test_networks_that_are_exempt_have_no_rate(rated: Limited) -> None:
    with rated.connect(EXEMPT) as exempt, rated.connect() as client:
        assert statuses(exempt, 5, "/trusting") == [200] * 5
        assert statuses(client, 3, "/trusting") == [200, 200, 429]


SESSIONS = f"""
{LISTENER}
[payload]
directory = "payload"
[payload.sessions]
{RATE.format("client")}"""


def test_sessions_are_asked_for_at_a_rate(stage: Stage) -> None:
    """Each client network for itself, over both workers. The keys, which may be 0.9 MB, have the same rate by themselves."""
    asked = request("Content-Length: 2", start="POST /.well-known/payload-sessions HTTP/1.1", body=b"{}")
    read = request(start="GET /.well-known/payload-keys HTTP/1.1")
    route = 'payload = "accept"\npayload_sessions = true\n'

    def status(client: Client, message: bytes = asked) -> int:
        client.send(message)
        return client.read_response().status

    with stage.limited(SESSIONS, route=route, workers=2) as limited, ExitStack() as connections:
        clients = [connections.enter_context(limited.connect()) for _ in range(4)]
        assert [status(client, read) for client in clients] == [200, 200, 429, 429]
        assert [status(client) for client in clients] == [400, 400, 429, 429]
        clients[0].send(asked)
        refused = clients[0].read_response()
        assert (refused.status, refused.values("Content-Type")) == (429, ["application/problem+json"])
        assert 1 <= int(refused.values("Retry-After")[0]) <= 10
        with limited.connect(OTHER) as other, limited.connect(EXEMPT) as exempt:
            assert status(other) == 400
            assert [status(exempt) for _ in range(4)] == [400] * 4
        counted = limited.site.admin.failures()
    assert counted["public", "request_rate"] == 5
    assert counted["public", "payload"] == 7


SMALL = """
[limits]
head_bytes = 1_024
header_bytes = 512
target_bytes = 64
body_bytes = 100
head_timeout = "300ms"
body_idle_timeout = "300ms"
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
def test_request_that_is_over_a_limit(small: Limited, sent: bytes, status: int, reason: RequestReason) -> None:
    before = len(answers(small))
    with small.connect() as client:
        client.send(sent)
        answer = client.read_response()
        assert (answer.status, answer.values("Connection")) == (status, ["close"])
        assert client.await_end() is End.CLEAN
    assert [one for _, *one in until_found(lambda: answers(small)[before:])] == [[status, reason]]


HURRIED = """
[limits]
body_idle_timeout = "1s"
body_bytes_per_second = 100_000
write_idle_timeout = "500ms"
keep_alive_timeout = "300ms"
"""
LONGER = 2.0
"""More than each of those."""
UPLOADED = 20_000_000
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
upload_waits = threading.Event()


def play(peer: Peer) -> None:
    """Play the server of the path that is asked for."""
    match peer.read_head().split(b" ")[1]:
        case b"/continues":
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read_to_end()
        case b"/large":
            send_large(peer)
        case b"/takes-late":
            upload_waits.set()
            threading.Event().wait(LONGER)  # never set
            peer.read(UPLOADED)
            peer.send(LAST)
        case b"/answers-late":
            threading.Event().wait(LONGER)  # never set
            peer.send(LAST)
        case _:
            peer.read_to_end()


def test_body_that_drips(hurried: Limited) -> None:
    pause = threading.Event()
    with hurried.connect() as client:
        client.send(request("Content-Length: 99", start="POST /drips HTTP/1.1"))
        for _ in range(12):
            pause.wait(0.1)  # never set
            client.send(b"x")
        assert client.read_response().status == 408
        assert client.await_end() is End.CLEAN
    assert settled(hurried, "/drips", 1) == [(408, RequestReason.BODY_TOO_SLOW)]


def test_body_that_was_told_to_continue_and_does_not_come(hurried: Limited) -> None:
    with hurried.connect() as client:
        client.send(request("Content-Length: 9", "Expect: 100-continue", start="POST /continues HTTP/1.1"))
        assert [client.read_response().status for _ in range(2)] == [100, 408]
        assert client.await_end() is End.CLEAN
    assert settled(hurried, "/continues", 1) == [(408, RequestReason.BODY_TIMEOUT)]


def large(peer: Peer) -> None:
    """Send a response that no buffer can hold."""
    peer.read_head()
    send_large(peer)


def send_large(peer: Peer) -> None:
    """Send it, to a request that was read."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        peer.send(bytes(100_000))


def test_reader_that_takes_nothing(hurried: Limited) -> None:
    with hurried.connect(receive_bytes=16_384) as client:
        client.send(request(start="GET /large HTTP/1.1"))
        hurried.site.record("/large")
    assert reasons(hurried, "/large") == [(499, RequestReason.READER_TIMEOUT)]


@pytest.mark.parametrize(("per_second", "is_cut"), [(4_000_000, True), (10_000, False)])
def test_reader_that_takes_little(stage: Stage, per_second: int, is_cut: bool) -> None:  # noqa: FBT001 - a parameter
    """Some 100 KB a second, for longer than it may take nothing: whether that is enough is a matter of the rate."""
    limits = f'[limits]\nwrite_idle_timeout = "500ms"\nresponse_bytes_per_second = {per_second}\n'
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


def test_upload_that_its_server_holds_back_is_not_a_slow_client(hurried: Limited) -> None:
    """The server takes nothing for longer than a client may send nothing, then all of it."""
    body = bytes(UPLOADED)
    with hurried.connect() as client:
        client.send(request(f"Content-Length: {UPLOADED}", start="POST /takes-late HTTP/1.1") + body[:70_000])
        assert upload_waits.wait(10)  # that is more than what is gathered before a server is asked
        client.send(body[70_000:])
        assert client.read_response().status == 200
    assert settled(hurried, "/takes-late", 1) == []


def test_client_that_waits_for_its_answer_owes_nothing(hurried: Limited) -> None:
    """A long poll: no bytes wait for it, so it is not slow in taking them."""
    with hurried.connect() as client:
        client.send(request(start="GET /answers-late HTTP/1.1"))
        assert client.read_response().status == 200
    assert settled(hurried, "/answers-late", 1) == []
