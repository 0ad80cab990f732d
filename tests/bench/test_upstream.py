"""The server behind the proxies: whole bodies, and messages that come back, however they are cut."""

import socket
from collections.abc import Iterator

import pytest

from tests.bench.servers import compiled, upstream_port
from tests.programs import program

POST = b"POST /up/sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /up/echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASKED = b"\x82\xfe\x00\xc8\x01\x02\x03\x04" + bytes(200)
SENT_BACK = b"\x82\x7e\x00\xc8" + b"\x01\x02\x03\x04" * 50


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    made = compiled("upstream", tmp_path_factory.mktemp("upstream"))
    with program([str(made)], upstream_port) as running:
        yield running.ready


def answers(port: int, pieces: list[bytes], count: int) -> bytes:
    """So many octets of the answers to what is sent."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        while len(received) < count:
            data = client.recv(65_536)
            assert data, received
            received += data
    return received


def answer(octets: int) -> bytes:
    body = b'{"octets":%d}' % octets
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_body_is_counted_however_it_is_cut(port: int, size: int) -> None:
    whole = POST + GET + POST
    wanted = answer(1_000) + answer(0) + answer(1_000)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert answers(port, pieces, len(wanted)) == wanted


@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_messages_come_back_without_their_mask(port: int, size: int) -> None:
    whole = UPGRADE + MASKED * 3
    agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    agreed += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"  # RFC 6455 1.3
    wanted = agreed + SENT_BACK * 3
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert answers(port, pieces, len(wanted)) == wanted
