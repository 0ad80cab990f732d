"""Servers of HTTP/2 are drained, ejected, shared and kept to as those of HTTP/1.1, and carry WebSockets. One program for all."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address, Client, End
from tests.hostile.strict_frames import CLOSE, TEXT, Frame, FrameReader
from tests.integration.http2 import Http2Client
from tests.integration.http2_backend import Http2Backend, http2_backends
from tests.integration.stage import Site, Upstream, request, site
from tests.waiting import until_found

LISTENER = '[listener.public]\nbind = "127.0.0.1:0"\nhttp = ["h2", "http/1.1"]\n'
H2 = 'http = "h2"\n'
TURNS = 'balance = "round-robin"\n'
EJECTION = '[upstream.strict.ejection]\nbase_time = "1m"\nerrors = 4\nerrors_within = "30s"\n'
STICKY = 'balance = "sticky-cookie"\n[upstream.sticky.cookie]\nsecret = "sticky.key"\n'
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
OTHER = "127.0.0.2"
STREAMS = 8


@pytest.fixture(scope="module")
def two() -> Iterator[list[Http2Backend]]:
    """The servers of most upstreams."""
    with http2_backends(2) as made:
        yield made


@pytest.fixture(scope="module")
def few() -> Iterator[Http2Backend]:
    """A server that takes few streams, and no WebSockets."""
    with http2_backends(1, streams=STREAMS, takes_websockets=False) as (made,):
        yield made


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    localhost: CertificateFiles,
    two: list[Http2Backend],
    few: Http2Backend,
) -> Iterator[Site]:
    """A proxy with an upstream for each kind of service."""
    directory = tmp_path_factory.mktemp("service")
    secret = directory / "sticky.key"
    secret.write_text("0123456789abcdef" * 3)
    secret.chmod(0o600)
    servers = tuple(one.url for one in two)
    upstreams = {
        "turns": Upstream(servers, H2 + TURNS),
        "strict": Upstream(servers, H2 + TURNS + EJECTION),
        "sticky": Upstream(servers, H2 + STICKY),
        "chat": Upstream(servers[:1], H2),
        "few": Upstream((few.url,), H2 + 'connections = 1\nwaiting = 20\nwait_timeout = "1m"\n'),
    }
    with site(directory, authority, localhost, upstreams, LISTENER) as running:
        yield running


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


def opened(client: Client, path: str) -> None:
    """Open a WebSocket over HTTP/1.1."""
    client.send(request(*UPGRADE, start=f"GET {path} HTTP/1.1"))
    answer = client.read_response()
    assert answer.status == 101
    assert answer.values("Sec-WebSocket-Accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]  # RFC 6455 section 1.3


def next_frame(client: Client, reader: FrameReader) -> Frame:
    """Read one frame."""
    while not reader.frames:
        data = client.read()
        assert data, client.end
        reader.feed(data)
    return reader.frames.pop(0)


def test_a_drained_server_keeps_what_it_has_and_gets_nothing_new(proxy: Site, two: list[Http2Backend]) -> None:
    with proxy.connect() as held, proxy.connect() as chat, proxy.session() as session:
        held.send(request(start="GET /turns/held HTTP/1.1"))
        until_found(lambda: any(one.held for one in two) or None)
        (busy,) = [one for one in two if one.held]
        if two[0] is busy:  # so that the WebSocket comes to the same server
            assert session.get(proxy.url("/turns/x")).text != busy.name
        opened(chat, "/turns/chat")
        if not busy.sockets:
            opened(chat := proxy.connect(), "/turns/chat")
        assert busy.sockets >= 1
        done = proxy.command("drain", "turns", busy.url, "--seconds", "0.5")
        assert done.returncode == 0, done.stderr
        assert {session.get(proxy.url("/turns/x")).text for _ in range(6)} == {
            one.name for one in two if one is not busy
        }
        reader = FrameReader(is_masked=False)
        goodbye = next_frame(chat, reader)
        assert (goodbye.opcode, goodbye.payload[:2]) == (CLOSE, (1012).to_bytes(2))
        chat.send(masked(CLOSE, goodbye.payload[:2]))
        assert chat.await_end() is End.CLEAN
        busy.answer_held()
        assert held.read_response().body == busy.name.encode()
        until_found(lambda: "drained" in proxy.admin.server_states("turns")[busy.url] or None)


def test_a_server_that_fails_is_ejected(proxy: Site, two: list[Http2Backend]) -> None:
    two[0].status = "503"
    with proxy.session() as session:
        statuses = [session.get(proxy.url("/strict/x")).status_code for _ in range(30)]
    two[0].status = "200"
    assert statuses.count(503) == 4, "clients get the server's own answer"
    assert proxy.admin.server_states("strict")[two[0].url] == {"ejected": 1}


def test_a_client_stays_with_its_server_by_a_cookie(proxy: Site, two: list[Http2Backend]) -> None:
    seen = set()
    for _ in range(2):
        with proxy.session() as session:
            first = session.get(proxy.url("/sticky/x"))
            assert "Set-Cookie" in first.headers
            assert {session.get(proxy.url("/sticky/x")).text for _ in range(6)} == {first.text}
            seen.add(first.text)
    assert seen == {one.name for one in two}


def test_a_client_that_holds_streams_leaves_some_to_others(proxy: Site, few: Http2Backend) -> None:
    with ExitStack() as stack:
        greedy = [stack.enter_context(proxy.connect()) for _ in range(10)]
        for client in greedy:
            client.send(request(start="GET /few/greedy/held HTTP/1.1"))
        few.await_held(6)
        with proxy.connect(OTHER) as other:
            other.send(request(start="GET /few/other/held HTTP/1.1"))
            assert sorted(few.await_held(7)) == ["/few/greedy/held"] * 6 + ["/few/other/held"]
            few.answer_held()
            assert other.read_response().status == 200
        few.await_held(4)
        few.answer_held()
        assert [client.read_response().status for client in greedy] == [200] * 10
    assert few.connections == 1


def test_websockets_of_both_kinds_of_clients_share_a_connection_with_requests(
    proxy: Site, two: list[Http2Backend]
) -> None:
    server = two[0]
    with proxy.connect() as old, Http2Client(Address(proxy.port(), proxy.ca)) as client:
        opened(old, "/chat/old")
        stream = client.open_websocket("/chat/new")
        assert [head[":protocol"] for head in server.heads[-2:]] == ["websocket"] * 2
        assert server.heads[-2][":path"] == "/chat/old"
        assert not any(name.startswith("sec-websocket-key") for head in server.heads for name in head)
        for number in range(3):
            message = b"message %d" % number
            old.send(masked(TEXT, message))
            assert next_frame(old, FrameReader(is_masked=False)).payload == message
            client.h2.send_data(stream, masked(TEXT, message))
            client.flush()
            answer = client.answers[stream]
            client.until(lambda: answer.body.endswith(message))  # noqa: B023 - it is called at once
        figures = proxy.admin.metrics()
        streams = [
            value
            for (name, labels), value in figures.items()
            if name == "plexigate_http2_upstream_streams_open" and ("upstream", "chat") in labels
        ]
        assert streams == [2.0]
        old.send(masked(CLOSE, (1000).to_bytes(2)))
        assert next_frame(old, FrameReader(is_masked=False)).opcode == CLOSE
        assert old.await_end() is End.CLEAN
        client.h2.send_data(stream, masked(CLOSE, (1000).to_bytes(2)), end_stream=True)
        client.flush()
        assert client.answer(stream).is_complete
        assert client.answers[stream].body.endswith(b"\x88\x02" + (1000).to_bytes(2)), "the close frame of the server"
    record = proxy.record("/chat/new")
    assert (record["status"], record["protocol"], record.get("error")) == (101, "h2", None)
    until_found(lambda: server.sockets == 0 or None)


def test_a_server_whose_settings_allow_no_websockets(proxy: Site) -> None:
    with proxy.connect() as client:
        client.send(request(*UPGRADE, start="GET /few/chat HTTP/1.1"))
        assert client.read_response().status == 501
    assert "SETTINGS do not allow extended CONNECT (RFC 8441)" in proxy.record("/few/chat")["error"]
