"""The server behind the proxies: whole bodies, and messages that come back, however they are cut."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from email.utils import parsedate_to_datetime

import pytest

from tests.bench.messages import NEW, NOW, Message, write
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


ANSWERS = [
    Message("* /same*", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    *[
        Message(
            "GET /new*",
            f"HTTP/1.1 200 OK\r\nDate: {NOW}\r\nETag: {NEW}\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(size),
        )
        for size in (10, 11)
    ],
    Message("GET /late *", b"HTTP/1.1 204 Late\r\n\r\n", pause=300),
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("upstream")
    write(directory / "answers", ANSWERS)
    with program([str(compiled("upstream", directory)), str(directory / "answers")], upstream_port) as running:
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


def asked(line: str) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_first_answer_whose_pattern_matches_is_given_with_new_values(port: int) -> None:
    head = len(ANSWERS[1].data) - 10
    sizes = [head + 10, head + 11, head + 10]
    received = answers(port, [asked("GET /new/1")] * 3, sum(sizes))
    values = re.findall(rb"ETag: ([0-9a-f]{16})\r\nContent-Length: (\d+)\r\n", received)
    assert [size for _, size in values] == [b"10", b"11", b"10"]
    assert len({value for value, _ in values}) == 3
    date = re.search(rb"Date: (.*)\r\n", received)
    assert date is not None
    assert abs(parsedate_to_datetime(date[1].decode()).timestamp() - time.time()) < 60  # noqa: TID251 - now
    assert answers(port, [asked("PUT /same/1")], len(ANSWERS[0].data)) == ANSWERS[0].data
    assert answers(port, [asked("PUT /new/1")], len(answer(0))) == answer(0)


LATE = 40


def test_answer_waits_for_its_time_and_holds_nobody_up(port: int) -> None:
    began = time.monotonic()
    with ExitStack() as opened:
        several = [opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(LATE)]
        for late in several:
            late.sendall(asked("GET /late"))
        assert answers(port, [GET], len(answer(0))) == answer(0)
        for late in several:
            assert late.recv(100) == ANSWERS[-1].data
        # a loop counts in whole milliseconds, from where its turn began
        assert 0.29 <= time.monotonic() - began < LATE * 0.3 / 2, "one after the other they take all of that"
