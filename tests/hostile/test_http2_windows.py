"""Flow control as a weapon: clients that grant little or nothing, read nothing, or send more than they may.

What a server has to say waits with the server, not in the proxy; and a client that takes nothing is given up in time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.answers import Answer
from tests.hostile.bystanders import bystanders
from tests.hostile.conftest import TERSE
from tests.hostile.http2_client import Http2Client
from tests.hostile.scene import Scene, cases
from tests.hostile.test_slow_clients import kernel_bytes
from tests.waiting import until_found

pytestmark = pytest.mark.paced

MEGABYTE = 1_000_000
CLOSED_WINDOW = (h2.INITIAL_WINDOW, 0)
SLOW_BYTES = 65_536
"""The receive buffer of a slow reader."""


def answer_of(size: int) -> Answer:
    """A response of this size."""
    return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)


def requests(count: int, path: bytes = b"/x") -> bytes:
    """So many on one connection."""
    return b"".join(h2.get(2 * number + 1, path) for number in range(count))


@contextmanager
def held(scene: Scene, count: int, size: int) -> Iterator[Http2Client]:
    """A client whose answers have all been given, and which lets none of their bytes come."""
    for _ in range(count):
        scene.recorder.answer_next(answer_of(size))
    with scene.connect_http2() as client:
        client.open(CLOSED_WINDOW)
        client.send(requests(count))
        client.read_until(lambda: len(client.streams) == count)
        yield client


def test_a_hundred_answers_behind_closed_windows_take_little_memory(terse: Scene) -> None:
    """One client gets half of the memory for responses; beyond it, a read or two wait for each stream."""
    with bystanders(terse) as them:
        with held(terse, 100, 10_000):
            pass  # what a first time leaves in the heap is not part of the answers
        terse.settle()
        terse.proxy.forget_peak()
        used = terse.proxy.usage()
        with held(terse, 100, MEGABYTE) as client:
            client.sync()
            them.go_on()
            assert all(one.body == b"" for one in client.streams.values())
            growth = terse.proxy.usage().peak_bytes - used.peak_bytes
            assert growth < TERSE["response_buffer_total_bytes"] // 2 + 100 * 65_536 + 2 * MEGABYTE


@pytest.mark.parametrize("size", [1_000, MEGABYTE], ids=["small", "large"])
def test_answers_behind_closed_windows_are_given_up(hurried: Scene, size: int) -> None:
    """Whether they fit into the proxy or not; a window that is held forever holds no server."""
    before = hurried.failures()
    with held(hurried, 60, size) as client:
        answers = client.answers(*range(1, 120, 2))
        assert {one.reset for one in answers} == {h2.CANCEL}
    hurried.settle()
    assert (hurried.failures() - before)["reader_timeout"] == 60


def test_a_window_of_one_byte_costs_little_and_does_not_last(hurried: Scene) -> None:
    """Each byte costs the client a frame of thirteen, and us one of ten; its pace is too slow to be kept."""
    hurried.recorder.answer_next(answer_of(MEGABYTE))
    with hurried.connect_http2() as client:
        client.open((h2.INITIAL_WINDOW, 1))
        client.send(h2.get(1, b"/x"))
        used = hurried.proxy.usage()
        for number in range(2_000):
            client.read_until(lambda: (1 in client.streams and len(client.streams[1].body) > number) or client.goaway)  # noqa: B023
            if client.goaway is not None:
                break
            client.send(h2.window_update(1, 1))
        assert client.goaway == h2.ENHANCE_YOUR_CALM
        assert hurried.proxy.usage().cpu_seconds - used.cpu_seconds < 2.0
    hurried.settle()


def test_settings_that_open_and_shut_windows_move_no_more_than_they_allow(scene: Scene) -> None:
    scene.recorder.answer_next(answer_of(100_000))
    with scene.connect_http2() as client:
        client.open(CLOSED_WINDOW)
        client.send(h2.get(1, b"/x"))
        client.read_until(lambda: 1 in client.streams)
        for size in (10, 0, 20, 5, 0, 25):
            client.send(h2.settings((h2.INITIAL_WINDOW, size)))
            client.sync()
            assert len(client.streams[1].body) <= 25
        assert len(client.streams[1].body) == 25
        client.send(h2.settings((h2.INITIAL_WINDOW, 0)) + h2.window_update(1, 25))
        client.sync()
        assert len(client.streams[1].body) == 25, "a negative window was opened to zero"
        client.send(h2.window_update(1, 100_000) + h2.window_update(0, 100_000))
        assert len(client.answer(1).body) == 100_000


UNREAD = {
    "pings": h2.ping(),
    "settings": h2.settings(),
    "requests": b"",
}


@cases(UNREAD)
def test_answers_that_are_never_read_stop_what_asks_for_them(scene: Scene, case: bytes) -> None:
    """The proxy's own frames wait as answers do; they are bounded in number, and then the connection ends."""
    with bystanders(scene) as them, scene.connect_http2(receive_bytes=4_096) as client:
        client.open()
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        flood = case * 200_000 if case else b"".join(h2.get(one, b"", (b"x", b"\n")) for one in range(1, 100_001, 2))
        client.client.send_until_blocked(flood)
        them.go_on()
        assert scene.proxy.usage().peak_bytes - used.peak_bytes < 2 * MEGABYTE
        client.client.reset()
    scene.settle()
    assert scene.begun == []


def test_a_reader_that_takes_nothing_off_the_wire_is_given_up(hurried: Scene) -> None:
    """Windows wide open, and nothing read: as over HTTP/1.1."""
    before = hurried.failures()
    for _ in range(20):
        hurried.recorder.answer_next(answer_of(4 * MEGABYTE))
    with hurried.connect_http2(receive_bytes=SLOW_BYTES) as client:
        client.open((h2.INITIAL_WINDOW, h2.LARGEST_WINDOW))
        client.send(h2.window_update(0, h2.LARGEST_WINDOW - 65_535) + requests(20))
        # what the kernel takes of a receive buffer that grew is complete answers
        taken = kernel_bytes() // (4 * MEGABYTE) + 1
        until_found(lambda: (hurried.failures() - before)["reader_timeout"] >= max(1, 20 - taken))
    hurried.settle()


# -- what clients send


def test_a_client_that_heeds_no_window_is_ended(scene: Scene) -> None:
    """Its server takes nothing. What is beyond the window of the stream, and then of the connection, is a fault."""
    with bystanders(scene) as them, scene.connect_http2() as client:
        client.open()
        scene.recorder.pause()
        scene.recorder.settle()
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        client.send(
            h2.post(1, b"/streamed/x") + h2.data(1, bytes(16_384)) * ((kernel_bytes() + 8 * MEGABYTE) // 16_384)
        )
        assert client.end() == h2.FLOW_CONTROL_ERROR
        assert scene.proxy.usage().peak_bytes - used.peak_bytes < 4 * MEGABYTE
        scene.recorder.resume()
        them.go_on()
    scene.settle()
    assert scene.targets == []


def test_a_hundred_uploads_to_a_server_that_takes_nothing_stay_within_the_window(scene: Scene) -> None:
    """Each client may send a window on each stream; all of them together one of the connection."""
    with scene.connect_http2() as client:
        client.open()
        scene.recorder.pause()
        scene.recorder.settle()
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        client.send(b"".join(h2.post(one, b"/streamed/x") for one in range(1, 201, 2)))
        for _ in range(4):
            client.send(b"".join(h2.data(one, bytes(2_500)) for one in range(1, 201, 2)))
        client.sync()
        assert scene.proxy.usage().peak_bytes - used.peak_bytes < 100 * 65_536 + 3 * MEGABYTE
        scene.recorder.resume()
        client.client.reset()
    scene.settle()
    assert scene.targets == []
