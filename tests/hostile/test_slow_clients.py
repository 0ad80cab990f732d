"""Clients that take their time: every part of a conversation has its own, and memory does not grow with waiting.

The Slowloris family: a head, a body, a handshake that never ends; a reader that takes nothing.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.hostile.answers import SWITCHING, Answer, Moment
from tests.hostile.client import Client, End, connect
from tests.hostile.scene import Scene, request

pytestmark = pytest.mark.paced

MEGABYTE = 1_000_000
OK = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

HEADS = {
    "octet": b"G",
    "method": b"GET ",
    "line": b"GET / HTTP/1.1",
    "line_and_end": b"GET / HTTP/1.1\r\n",
    "simple_request": b"GET /\r\n",
    "field": b"GET / HTTP/1.1\r\nHost: chat.test\r\n",
    "half_a_field": b"GET / HTTP/1.1\r\nHost: cha",
    "but_for_a_newline": b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r",
    "behind_empty_lines": b"\r\n\r\nG",
}


@contextmanager
def all_at_once(scene: Scene, table: Mapping[str, bytes]) -> Iterator[dict[str, Client]]:
    """A connection for each row, on which it has been sent: the rows wait together."""
    with ExitStack() as stack:
        clients = {name: stack.enter_context(scene.connect()) for name in table}
        for name, client in clients.items():
            client.send(table[name])
        yield clients


def test_a_head_that_does_not_end_is_answered_with_408(hurried: Scene) -> None:
    with all_at_once(hurried, HEADS) as clients:
        for name, client in clients.items():
            response = client.read_response()
            assert (name, response.status, response.values("Connection")) == (name, 408, ["close"])
            assert (name, client.await_end()) == (name, End.CLEAN)
    hurried.settle()
    assert hurried.begun == []


def test_a_head_that_is_dripped_has_no_more_time_than_one_that_is_not_sent(hurried: Scene) -> None:
    """Each octet comes before the time for the head is over; the time is for the whole of it."""
    with hurried.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nX: ")
        client.sock.settimeout(0.05)
        for _ in range(400):
            try:
                if client.read():
                    break
            except TimeoutError:
                client.send(b"x")
        else:
            pytest.fail("dripped for twenty seconds")
        client.sock.settimeout(10)
        client.read_to_end()
    hurried.settle()
    assert hurried.begun == []


def test_a_second_head_has_the_same_time(hurried: Scene) -> None:
    with hurried.connect() as client:
        client.send(request("GET", "/1") + b"GET /2 HTTP/1.1\r\n")
        assert [client.read_response().status for _ in range(2)] == [200, 408]
        assert client.await_end() is End.CLEAN
    hurried.settle()
    assert hurried.begun == ["/1"]


EMPTY = {"empty_line": b"\r\n", "two_empty_lines": b"\r\n\r\n", "half_an_empty_line": b"\r"}


def test_a_connection_without_a_request_ends_without_a_word(hurried: Scene) -> None:
    with all_at_once(hurried, EMPTY) as clients, hurried.connect() as silent:
        for name, client in {"nothing": silent, **clients}.items():
            assert (name, client.await_end()) == (name, End.CLEAN)


def test_a_connection_that_was_used_ends_in_the_same_way(hurried: Scene) -> None:
    with hurried.connect() as client:
        client.send(request("GET", "/1"))
        assert client.read_response().status == 200
        assert client.await_end() is End.CLEAN


BODIES = {
    "length": request("POST", "/1", "Content-Length: 10", body=b"01234"),
    "nothing_of_it": request("POST", "/1", "Content-Length: 10"),
    "chunk": request("POST", "/1", "Transfer-Encoding: chunked", body=b"a\r\n01234"),
    "chunk_size": request("POST", "/1", "Transfer-Encoding: chunked", body=b"a"),
    "between_chunks": request("POST", "/1", "Transfer-Encoding: chunked", body=b"5\r\n01234\r\n"),
    "trailers": request("POST", "/1", "Transfer-Encoding: chunked", body=b"5\r\n01234\r\n0\r\nX: y\r\n"),
    "final_newline": request("POST", "/1", "Transfer-Encoding: chunked", body=b"0\r\n\r"),
}


def test_a_body_that_does_not_come_is_answered_with_408_and_no_upstream_hears_of_it(hurried: Scene) -> None:
    with all_at_once(hurried, BODIES) as clients:
        for name, client in clients.items():
            response = client.read_response()
            assert (name, response.status, response.values("Connection")) == (name, 408, ["close"])
            assert (name, client.await_end()) == (name, End.CLEAN)
    hurried.settle()
    assert hurried.begun == []


STREAMED = {
    "chunk": request("POST", "/streamed", "Transfer-Encoding: chunked", body=b"a\r\n01234"),
    "nothing_of_it": request("POST", "/streamed", "Transfer-Encoding: chunked"),
    "between_chunks": request("POST", "/streamed", "Transfer-Encoding: chunked", body=b"5\r\n01234\r\n"),
    "longer_than_what_is_gathered": request("POST", "/1", "Content-Length: 70000", body=bytes(66_000)),
}


def test_a_body_that_stops_is_no_whole_request_for_an_upstream_that_has_its_head(hurried: Scene) -> None:
    with all_at_once(hurried, STREAMED) as clients:
        for name, client in clients.items():
            response = client.read_response()
            assert (name, response.status, response.values("Connection")) == (name, 408, ["close"])
            assert (name, client.await_end()) == (name, End.CLEAN)
    hurried.settle()
    assert (len(hurried.begun), hurried.targets) == (len(STREAMED), [])


def test_a_body_that_stops_behind_half_an_answer_cuts_it(hurried: Scene) -> None:
    hurried.recorder.answer_next(Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha", Moment.HEAD))
    with hurried.connect() as client:
        client.send(STREAMED["chunk"])
        assert client.read_to_end().endswith(b"ha")
        assert client.end is End.CUT
    hurried.settle()
    assert hurried.targets == []


def test_an_expectation_that_nobody_answers_ends_too(hurried: Scene) -> None:
    hurried.recorder.answer_next()
    with hurried.connect() as client:
        client.send(request("POST", "/streamed", "Content-Length: 10", "Expect: 100-continue"))
        assert client.read_response().status == 504  # the server owes the 100, or its answer
        assert client.await_end() is End.CLEAN
    hurried.settle()
    assert hurried.targets == []


HANDSHAKES = {
    "nothing": b"",
    "octet": b"\x16",
    "record_header": b"\x16\x03\x01\x02\x00",
    "half_a_hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
}


def test_a_handshake_that_does_not_end_is_closed(hurried: Scene) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(hurried.proxy.listeners["public"].port)) for _ in HANDSHAKES]
        for sock, begun in zip(sockets, HANDSHAKES.values(), strict=True):
            sock.sendall(begun)
        for sock in sockets:
            received = read_all(sock)
            assert received == b"" or received.startswith(b"\x15\x03")  # nothing but an alert
    hurried.settle()


def read_all(sock: socket.socket) -> bytes:
    """Read to the end of the stream."""
    received = b""
    while data := sock.recv(65_536):
        received += data
    return received


def test_an_upstream_that_does_not_answer_is_a_gateway_timeout(hurried: Scene) -> None:
    hurried.recorder.answer_next()
    hurried.served(request("GET", "/1"), 504)
    assert hurried.targets == ["/1"]


def test_an_upstream_that_stops_in_its_answer_is_a_visible_cut(hurried: Scene) -> None:
    hurried.recorder.answer_next(Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"))
    with hurried.connect() as client:
        client.send(request("GET", "/1"))
        assert client.read_to_end().endswith(b"ha")
        assert client.end is End.CUT


# -- readers that take nothing: what is written for them waits where it was written, not here


def answer_of(size: int, *, chunked: bool = False) -> Answer:
    """A large response."""
    if not chunked:
        return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    return Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * (size // 65_536) + b"0\r\n\r\n")


_GATHERED = 70_000
"""More than what is gathered of a body before an upstream is asked, chunked coding included."""

SLOW_BYTES = 65_536
"""The receive buffer of a slow reader."""


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_reader_that_takes_nothing_is_given_up(hurried: Scene, chunked: bool) -> None:  # noqa: FBT001 - a parameter
    hurried.recorder.answer_next(answer_of(30 * MEGABYTE, chunked=chunked))
    with hurried.connect(receive_bytes=SLOW_BYTES) as client:
        client.send(request("GET", "/1"))
        hurried.recorder.wait_for(lambda recorder: recorder.abandoned != [])  # the proxy has left its upstream
        received = client.read_to_end()
        assert client.end in (End.CUT, End.RESET)
        assert len(received) < 30 * MEGABYTE
    hurried.settle()


KEPT_BYTES = 32 * MEGABYTE
"""What a proxy would keep that reads on while nobody takes anything: so much is sent beyond what the kernel may hold."""
LITTLE_BYTES = KEPT_BYTES // 4
"""What a worker may take for it. Half a megabyte are its buffers.

After a flood it returns memory that was freed, 3 MB of 90 and more (`limits.freed_memory`). If that was a moment ago, the
pages that it needs now count as new ones: up to 2.7 MB were seen.
"""


def kernel_bytes() -> int:
    """What the kernel may hold between a server and a client beyond the proxy, at the most.

    With 32 MiB for a receive buffer (Linux 6.18), a busy machine has it take all of a smaller answer.
    """
    read, write = (int(Path(f"/proc/sys/net/ipv4/tcp_{one}mem").read_text(encoding="ascii").split()[2]) for one in "rw")
    return read + 2 * write


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_response_to_a_slow_reader_does_not_stay_in_memory(scene: Scene, chunked: bool) -> None:  # noqa: FBT001
    # The first one of its kind has a worker keep some memory for all that come.
    scene.recorder.answer_next(answer_of(MEGABYTE, chunked=chunked))
    with scene.connect() as client:
        client.send(request("GET", "/1"))
        assert client.read_response().status == 200
    size = kernel_bytes() + KEPT_BYTES
    scene.recorder.answer_next(answer_of(size, chunked=chunked))
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with scene.connect(receive_bytes=SLOW_BYTES) as client:
        client.send(request("GET", "/1"))
        scene.recorder.wait_until_blocked()  # everything between the two is full
        response = client.read_response()
        assert len(response.body) == (size // 65_536 * 65_536 if chunked else size)
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < LITTLE_BYTES
    scene.settle()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_request_to_a_slow_upstream_does_not_stay_in_memory(scene: Scene, chunked: bool) -> None:  # noqa: FBT001
    size = 90 * MEGABYTE  # the kernel may keep 32 MB of what nobody reads, on the way to the proxy and behind it
    line = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    body = bytes(size)
    if chunked:
        body = (b"10000\r\n" + bytes(65_536) + b"\r\n") * (size // 65_536) + b"0\r\n\r\n"
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with scene.connect() as client:
        client.send(request("POST", "/1", line) + body[:_GATHERED])
        scene.recorder.wait_for(lambda recorder: recorder.begun != [])
        scene.recorder.pause()
        scene.recorder.settle()  # it is paused: else kernels make room for what it still reads
        rest = client.send_until_blocked(body[_GATHERED:])
        assert rest
        scene.recorder.resume()
        client.send_raw(rest)
        assert client.read_response().status == 200
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < LITTLE_BYTES
    seen = scene.only_request()
    assert len(seen.body) == (size // 65_536 * 65_536 if chunked else size)


def test_an_upstream_that_takes_nothing_of_a_body_is_a_gateway_timeout(hurried: Scene) -> None:
    with hurried.connect() as client:
        client.send(request("POST", "/1", f"Content-Length: {90 * MEGABYTE}") + bytes(_GATHERED))
        hurried.recorder.wait_for(lambda recorder: recorder.begun != [])
        hurried.recorder.pause()
        hurried.recorder.settle()
        assert any(
            client.send_until_blocked(bytes(MEGABYTE)) for _ in range(80)
        )  # to seal all of it would take too long
        assert client.read_response().status == 504
        hurried.recorder.resume()
    hurried.settle()
    assert hurried.targets == []


def test_answers_that_nobody_reads_stop_the_requests(terse: Scene) -> None:
    """Small requests whose answers are larger: the proxy's own errors, for which no upstream holds anything back.

    All of them would be 30 MB, of which the kernel takes 4. The lines of the log are most of what they cost, so the proxy is
    one that lets few of them wait.
    """
    raw = request("GET", "/" + "x" * 50, host="empty.test")

    def flood() -> None:
        with terse.connect(receive_bytes=SLOW_BYTES) as client:
            assert send_until_at_rest(terse, client, raw * 200_000)
            for _ in range(1_000):
                assert client.read_response().status == 404
            client.reset()

    flood()  # what a first time leaves in the heap is not part of the answers
    terse.settle()
    terse.proxy.forget_peak()
    before = terse.proxy.usage()
    flood()
    assert terse.proxy.usage().peak_bytes - before.peak_bytes < 8 * MEGABYTE
    terse.settle()


def send_until_at_rest(scene: Scene, client: Client, data: bytes) -> bytes:
    """Send until nothing is taken because the proxy has stopped, and not because it is busy; return what is left."""
    left = client.send_until_blocked(data)
    used = scene.proxy.usage().cpu_seconds
    for _ in range(50):
        left = client.send_raw_until_blocked(left)
        now = scene.proxy.usage().cpu_seconds
        if now == used:
            return left
        used = now
    pytest.fail(f"the proxy is still at work; {len(left)} bytes are left")


def test_a_websocket_reader_that_takes_nothing_is_given_up(narrow: Scene) -> None:
    """Long before the time for an idle connection."""
    messages = (b"\x82\x7e" + (1_000).to_bytes(2) + bytes(1_000)) * 30_000
    narrow.recorder.answer_next(Answer(SWITCHING.data + messages, then=SWITCHING.then))
    with narrow.connect(receive_bytes=SLOW_BYTES) as client:
        client.send(WEBSOCKET)
        narrow.recorder.wait_for(lambda recorder: recorder.is_tunnel_closed)
        assert len(client.read_to_end()) < len(messages)


def test_a_websocket_reader_that_takes_nothing_is_back_pressure(scene: Scene) -> None:
    frame = b"\x82\x7f" + (65_536).to_bytes(8) + bytes(65_536)
    count = (kernel_bytes() + KEPT_BYTES) // len(frame)
    scene.recorder.answer_next(Answer(SWITCHING.data + frame * count, then=SWITCHING.then))
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with scene.connect(receive_bytes=SLOW_BYTES) as client:
        client.send(WEBSOCKET)
        scene.recorder.wait_until_blocked()
        assert client.read_response().status == 101
        received = 0
        while received < count * len(frame):
            received += len(client.read())
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < LITTLE_BYTES


WEBSOCKET = request(
    "GET",
    "/chat",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def test_many_slow_heads_cost_little(scene: Scene) -> None:
    """200 heads of 30 KB that do not end: the bytes themselves, twice at most, and the fixed allowance of each connection."""
    head = b"GET / HTTP/1.1\r\nHost: chat.test\r\nX: " + b"x" * 15_000 + b"\r\nY: " + b"y" * 14_000
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    clients = [scene.connect() for _ in range(200)]
    for client in clients:
        client.send(head)
    scene.settle()
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < 200 * (65_536 + 2 * len(head))
    for client in clients:
        client.sock.close()
    assert scene.begun == []


def test_a_client_that_stops_to_read_within_its_handshake_is_closed(hurried: Scene) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="chat.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with connect(hurried.proxy.listeners["public"].port) as sock:
        sock.sendall(outgoing.read())
        received = read_all(sock)
    assert received.startswith(b"\x16\x03\x03")  # the server's flight, to which nobody answered
    hurried.settle()
