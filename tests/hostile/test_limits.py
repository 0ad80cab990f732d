"""Parsers without limits: what an attacker sends costs little, and each limit holds on both of its sides.

llhttp takes a header of 32 MB in 13 seconds and any number of leading zeros; the limits are ours, and they are the same
however the bytes are cut.
"""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.hostile.answers import SWITCHING
from tests.hostile.client import Client, Cut, End, connect
from tests.hostile.scene import ALL_CUTS, Scene, cases, request
from tests.integration.admin import found
from tests.waiting import until_found

pytestmark = pytest.mark.paced

MEGABYTE = 1_000_000
WHOLE_OR_RECORDS = pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.RECORDS], ids=["whole", "records"])


def head_of(size: int, *lines: str) -> bytes:
    """A request whose head has exactly this many octets, in fields of a moderate size."""
    raw = request("GET", "/1", *lines)
    while size - len(raw) > 9_000:
        raw = raw[:-2] + b"X-Field: " + b"x" * 7_989 + b"\r\n\r\n"
    rest = size - len(raw)
    return raw[:-2] + b"X: " + b"x" * (rest - 5) + b"\r\n\r\n" if rest else raw


FITTING = {
    "head": head_of(32_768),
    "field": request("GET", "/1", "X: " + "x" * (16_384 - 3)),
    "fields": request("GET", "/1", *["X: y"] * 99),
    "target": request("GET", "/" + "x" * 8_191),
    "target_by_query": request("GET", "/?" + "x" * 8_190),
    "field_name": request("GET", "/1", "X" * 16_380 + ": y"),
}


@WHOLE_OR_RECORDS
@cases(FITTING)
def test_what_just_fits_is_served(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.served(case, 200, cut=cut)
    assert len(scene.targets) == 1


BEYOND = {
    "head": (head_of(32_773), 431),
    "field": (request("GET", "/1", "X: " + "x" * (16_385 - 3)), 431),
    "fields": (request("GET", "/1", *["X: y"] * 100), 431),
    "empty_fields": (request("GET", "/1", *["X:"] * 101), 431),
    "target": (request("GET", "/" + "x" * 8_192), 414),
    "target_by_query": (request("GET", "/?" + "x" * 8_191), 414),
    "target_in_absolute_form": (request("GET", "https://chat.test/" + "x" * 8_192), 414),
    "field_name": (request("GET", "/1", "X" * 16_382 + ": y"), 431),
    "field_of_spaces": (request("GET", "/1", "X: " + " " * 16_400 + "y"), 431),
    "cookies": (request("GET", "/1", *["Cookie: a=b"] * 101), 431),
    "twenty_thousand_fields": (request("GET", "/1", *["X: y"] * 20_000), 431),
    "two_thousand_fields_of_nothing": (request("GET", "/1", *["X:"] * 2_000), 431),
}


@WHOLE_OR_RECORDS
@cases(BEYOND)
def test_what_does_not_fit_is_refused(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    raw, status = case
    scene.refused(raw, status, cut=cut)


@pytest.mark.parametrize("cut", [Cut.BYTES, Cut.SEGMENTS], ids=["bytes", "segments"])
@cases({"head": BEYOND["head"], "target": BEYOND["target"], "fields": BEYOND["fields"]})
def test_limits_hold_for_single_octets(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    """Those with which the limit is passed: thousands more would take longer on a busy machine than a head may."""
    raw, status = case
    with scene.connect() as client:
        client.send(raw[:-400])
        client.send(raw[-400:], cut)
        response = client.read_response()
        assert response.status == status
        assert response.values("Connection") == ["close"]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


LINES = {
    "target_of_70_kilobytes": b"GET /" + b"x" * 70_000,
    "method_of_70_kilobytes": b"G" * 70_000,
    "field_of_70_kilobytes": b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
}


@WHOLE_OR_RECORDS
@cases(LINES)
def test_a_line_that_does_not_end_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(case, cut)
        assert client.read_response().status == (431 if b"X: " in case else 414)
        client.read_to_end()
    scene.settle()
    assert scene.begun == []


# -- floods


FLOODS = {
    "field_of_32_megabytes": (b"GET / HTTP/1.1\r\nHost: chat.test\r\nX: " + b"x" * 32 * MEGABYTE, 431),
    "name_of_32_megabytes": (b"GET / HTTP/1.1\r\nHost: chat.test\r\n" + b"x" * 32 * MEGABYTE, 431),
    "target_of_32_megabytes": (b"GET /" + b"x" * 32 * MEGABYTE, 414),
    "method_of_32_megabytes": (b"G" * 32 * MEGABYTE, 414),
    "fields_of_8_megabytes": (b"GET / HTTP/1.1\r\nHost: chat.test\r\n" + b"X: y\r\n" * 1_300_000, 431),
    "spaces_of_8_megabytes": (b"GET / HTTP/1.1\r\nHost: chat.test\r\nX:" + b" " * 8 * MEGABYTE, 431),
    "empty_lines_of_8_megabytes": (b"\r\n" * 4_000_000, 400),
    "returns_of_8_megabytes": (b"\r" * 8 * MEGABYTE, None),
    "newlines_of_8_megabytes": (b"\n" * 8 * MEGABYTE, None),
    "zeros_of_8_megabytes": (bytes(8 * MEGABYTE), None),
    "extensions_of_4_megabytes": (
        request("POST", "/", "Transfer-Encoding: chunked", body=b"1;" + b"x" * 4 * MEGABYTE),
        400,
    ),
    "extensions_of_4_megabytes_in_chunks": (
        request("POST", "/", "Transfer-Encoding: chunked", body=(b"1;" + b"x" * 200 + b"\r\nx\r\n") * 20_000),
        400,
    ),
    "chunks_of_one_octet": (request("POST", "/", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 700_000), 400),
    "leading_zeros_4000": (request("POST", "/", "Transfer-Encoding: chunked", body=b"0" * 4_000 + b"1\r\nx\r\n"), 400),
    "leading_zeros_4_megabytes": (request("POST", "/", "Transfer-Encoding: chunked", body=b"0" * 4 * MEGABYTE), 400),
    "trailers_of_4_megabytes": (
        request("POST", "/", "Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 700_000),
        400,
    ),
    "trailer_of_4_megabytes": (
        request("POST", "/", "Transfer-Encoding: chunked", body=b"0\r\nX: " + b"y" * 4 * MEGABYTE),
        400,
    ),
    "length_of_4_million_digits": (request("POST", "/", "Content-Length: " + "1" * 4 * MEGABYTE), 431),
    "body_that_is_not_wanted": (request("POST", "/", f"Content-Length: {10**17}", body=bytes(8 * MEGABYTE)), 413),
    "body_of_a_misdirected_request": (
        request("POST", "/", f"Content-Length: {8 * MEGABYTE}", host="other.test", body=bytes(8 * MEGABYTE)),
        421,
    ),
}


@cases(FLOODS)
def test_a_flood_costs_little_and_is_refused(scene: Scene, case: tuple[bytes, int | None]) -> None:
    raw, status = case
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with scene.connect() as client:
        client.send(raw)
        response = client.read_response()
        assert response.status == status or (status is None and 400 <= response.status < 500)
        client.read_to_end()
    after = scene.proxy.usage()
    assert after.cpu_seconds - before.cpu_seconds < 0.3
    assert after.peak_bytes - before.peak_bytes < MEGABYTE
    scene.settle()
    assert scene.targets == []


def test_small_records_of_a_large_body_are_bounded(scene: Scene) -> None:
    """Each octet in a record of its own: 23 on the wire for one, and still less than a few microseconds."""
    raw = request("POST", "/1", "Content-Length: 50000", body=bytes(50_000))
    scene.served(raw, 200, cut=Cut.RECORDS)  # what a first time leaves in the heap is not part of the records
    scene.recorder.reset()
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    scene.served(raw, 200, cut=Cut.RECORDS)
    after = scene.proxy.usage()
    assert after.cpu_seconds - before.cpu_seconds < 1
    assert after.peak_bytes - before.peak_bytes < MEGABYTE
    assert len(scene.only_request().body) == 50_000


def test_a_thousand_refusals_leave_nothing_behind(scene: Scene) -> None:
    def refusals(count: int) -> None:
        for number in range(count):
            with scene.connect() as client:
                client.send(b"GET /%d HTTP/1.1\r\nHost: host-%d.test\r\nX-%d: y\r\n\r\n" % (number, number, number))
                assert client.read_response().status == 421

    refusals(300)
    scene.settle()
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    refusals(1_000)
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < MEGABYTE
    scene.settle()
    assert scene.begun == []


# -- numbers of connections


@contextlib.contextmanager
def connected(scene: Scene, count: int) -> Iterator[list[Client]]:
    """So many connections at once, whose requests nobody waits for any more when the block ends."""
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.connect()) for _ in range(count)]
        yield clients
        for client in clients:
            client.reset()


def test_connections_of_one_address_are_counted(narrow: Scene) -> None:
    with connected(narrow, 8) as clients:
        with pytest.raises(OSError, match=r"EOF occurred|reset by peer"):
            narrow.connect()
        clients[0].send(request("GET", "/1", "Connection: close"))
        assert clients[0].read_response().status == 200
        assert clients[0].await_end() is End.CLEAN
        clients[0].sock.close()
        with connect_when_possible(narrow) as client:
            client.send(request("GET", "/2"))
            assert client.read_response().status == 200


def connect_when_possible(scene: Scene) -> Client:
    """Connect as soon as the proxy has noticed that another connection is gone."""
    for _ in range(1_000):
        with contextlib.suppress(OSError):
            return scene.connect()
    return scene.connect()


def test_connections_that_say_nothing_make_room_for_handshakes(narrow_and_quiet: Scene) -> None:
    """There may be six handshakes in all: of connections without a hello the oldest goes, of the address with most."""
    scene = narrow_and_quiet
    address = scene.proxy.listeners["public"]
    with ExitStack() as stack:
        first = stack.enter_context(connect(address.port))
        for source in ("127.0.0.1",) * 3 + ("127.0.0.2",) * 2:
            stack.enter_context(connect(address.port, source=source))
        for source in ("127.0.0.1", "127.0.0.2"):
            client = stack.enter_context(Client(address, source=source))
            client.send(request("GET", "/1"))
            assert client.read_response().status == 200
        first.settimeout(10)
        assert received(first) == b"", "it was the oldest"


def received(sock: socket.socket) -> bytes:
    """What comes, or nothing where the connection is reset."""
    try:
        return sock.recv(1)
    except ConnectionResetError:
        return b""


def test_silent_connections_of_one_address_keep_nobody_else_out(narrow_and_quiet: Scene) -> None:
    address = narrow_and_quiet.proxy.listeners["public"]
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(address.port, source="127.0.0.2"))
        narrow_and_quiet.served(request("GET", "/1"), 200)


@pytest.fixture
def narrow_and_quiet(narrow: Scene) -> Scene:
    """No connection of the test before is open any more: it may be closed a moment later than that saw."""
    until_found(lambda: found(narrow.proxy.admin.metrics(), "plexigate_connections_open") == 0)
    return narrow


def test_requests_that_find_no_upstream_connection_wait_and_are_refused_beyond_that(narrow_and_quiet: Scene) -> None:
    """Two connections to the upstream, room for two to wait, and 0.3 seconds for that."""
    scene = narrow_and_quiet
    for _ in range(2):
        scene.recorder.answer_next()
    with connected(scene, 5) as clients:
        for number, client in enumerate(clients[:2]):
            client.send(request("GET", f"/{number}"))
        scene.recorder.wait_for(lambda recorder: len(recorder.complete) == 2)
        for number, client in enumerate(clients[2:], 2):
            client.send(request("GET", f"/{number}"))
        for client in clients[2:]:
            response = client.read_response()
            assert (response.status, response.values("Retry-After")) == (503, ["1"])
        assert sorted(scene.begun) == ["/0", "/1"]


def test_waiting_tunnels_are_upstream_connections_too(narrow_and_quiet: Scene) -> None:
    scene = narrow_and_quiet
    handshake = request(
        "GET",
        "/chat",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    scene.recorder.answer_next(SWITCHING)
    with connected(scene, 1) as (client,):
        client.send(handshake)
        assert client.read_response().status == 101
        scene.served(request("GET", "/1"), 200)


def test_a_slow_answer_holds_nobody_else(scene: Scene) -> None:
    scene.recorder.answer_next()
    with connected(scene, 2) as (slow, quick):
        slow.send(request("GET", "/slow"))
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        quick.send(request("GET", "/quick"))
        assert quick.read_response().body == b"/quick"
        scene.recorder.wait_for(lambda recorder: len(recorder.complete) == 2)
    scene.recorder.wait_for(lambda recorder: recorder.abandoned != [])


@ALL_CUTS
def test_a_body_has_the_limit_of_its_route(scene: Scene, cut: Cut) -> None:
    scene.served(request("POST", "/small/1", "Content-Length: 1000", body=bytes(1_000)), 200, cut=cut)
    assert scene.targets == ["/small/1"]


@ALL_CUTS
def test_a_body_beyond_the_limit_of_its_route_is_refused(scene: Scene, cut: Cut) -> None:
    scene.refused(request("POST", "/small/1", "Content-Length: 1001", body=bytes(1_001)), 413, cut=cut)
