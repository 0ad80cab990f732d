"""Streams and connections that are held open: each limit holds, and others still get their share."""

from contextlib import ExitStack

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.answers import SWITCHING
from tests.hostile.bystanders import bystanders
from tests.hostile.client import Client, End
from tests.hostile.scene import Scene, cases, request
from tests.integration.admin import found
from tests.waiting import until_found

pytestmark = pytest.mark.paced

MEGABYTE = 1_000_000
OTHER = "127.0.0.2"
"""The address of clients who have no part in it."""


def test_stream_129_is_refused_and_the_others_are_served(scene: Scene) -> None:
    for _ in range(128):
        scene.recorder.answer_next()
    with bystanders(scene), scene.connect_http2() as client:
        client.open()
        client.send(b"".join(h2.post(one, b"/streamed/x") for one in range(1, 257, 2)))
        scene.recorder.wait_for(lambda recorder: len(recorder.begun) == 128)
        client.send(h2.get(257, b"/x") + h2.get(259, b"/x") + h2.data(1, b"", ends=True))
        assert [one.reset for one in client.answers(257, 259)] == [h2.REFUSED_STREAM] * 2
        client.send(h2.rst(3))
        client.sync()
        client.send(h2.get(261, b"/261"))
        assert client.answer(261).body == b"/261", "where one has left another may come"
        client.client.reset()
    scene.settle()
    assert len(scene.begun) == 129


@pytest.mark.parametrize("streams", [100, 128])
def test_streams_of_one_client_leave_connections_to_the_server_for_others(scene: Scene, streams: int) -> None:
    """Three connections ask for more than the pool has. What is above the share of the client waits."""
    for _ in range(3 * streams):
        scene.recorder.answer_next()
    with bystanders(scene) as them, ExitStack() as stack:
        clients = [stack.enter_context(scene.connect_http2()).open() for _ in range(3)]
        for client in clients:
            client.send(b"".join(h2.get(2 * one + 1, b"/held") for one in range(streams)))
            client.sync()
        for _ in range(5):
            them.go_on()
        scene.recorder.settle()
        assert len(scene.begun) <= 192, "three quarters of 256"
        for client in clients:
            client.client.reset()
    scene.settle()


def test_a_pool_of_two_connections_has_one_for_another_client(narrow: Scene) -> None:
    """A client with 100 streams takes what is free; when one is given back, it is not the same client's turn."""
    for _ in range(2):
        narrow.recorder.answer_next()
    address = narrow.proxy.listeners["public"]
    with narrow.connect_http2() as client, Client(address, source=OTHER) as other:
        client.open()
        client.send(b"".join(h2.get(one, b"/held") for one in range(1, 5, 2)))
        narrow.recorder.wait_for(lambda recorder: len(recorder.complete) == 2)
        client.send(b"".join(h2.get(one, b"/more") for one in range(5, 205, 2)))
        client.sync()
        answers = client.answers(*range(5, 205, 2))
        assert {one.status for one in answers} == {503}
        client.send(h2.rst(1))
        other.send(request("GET", "/other"))
        assert other.read_response().body == b"/other"
    narrow.recorder.wait_for(lambda recorder: "/other" in [one.target for one in recorder.complete])
    narrow.settle()
    assert narrow.targets == ["/held", "/held", "/other"]


HALF_OPEN = {
    "nothing_of_a_body": h2.post(1, b"/x"),
    "half_a_body": h2.post(1, b"/x", (b"content-length", b"10")) + h2.data(1, b"01234"),
    "empty_data": h2.post(1, b"/x") + h2.data(1) * 5,
    "padding_alone": h2.post(1, b"/x") + h2.frame(h2.DATA, b"\x0a" + bytes(10), h2.PADDED, 1),
    "half_a_frame": h2.post(1, b"/x") + h2.data(1, b"01234")[:-1],
}


def test_bodies_that_do_not_come_are_answered_with_408(hurried: Scene) -> None:
    for name, frames in HALF_OPEN.items():
        with hurried.connect_http2() as client:
            client.open()
            client.send(frames)
            assert (name, client.answer(1).status) == (name, 408)
    hurried.settle()
    assert hurried.begun == []


def test_bodies_that_stop_are_no_whole_requests_for_a_server_that_has_their_heads(hurried: Scene) -> None:
    with hurried.connect_http2() as client:
        client.open()
        client.send(b"".join(h2.post(one, b"/streamed/x") + h2.data(one, b"x") for one in range(1, 41, 2)))
        assert {one.status for one in client.answers(*range(1, 41, 2))} == {408}
    hurried.settle()
    assert (len(hurried.begun), hurried.targets) == (20, [])


def test_websockets_that_are_left_half_open_end(hurried: Scene) -> None:
    for _ in range(10):
        hurried.recorder.answer_next(SWITCHING)
    with hurried.connect_http2() as client:
        client.open()
        client.send(b"".join(h2.websocket(one) for one in range(1, 21, 2)))
        answers = client.answers(*range(1, 21, 2))
        assert {one.status for one in answers} == {200}
    hurried.settle()
    assert until_found(lambda: hurried.recorder.is_tunnel_closed)


def test_a_websocket_over_http_2_takes_strict_frames_alone(scene: Scene) -> None:
    """As over HTTP/1.1: an unmasked frame ends it with 1002, and never gets to the server."""
    scene.recorder.answer_next(SWITCHING)
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.websocket(1))
        client.read_until(lambda: 1 in client.streams and client.streams[1].status == 200)
        client.send(h2.data(1, b"\x81\x05hello"))
        answer = client.answer(1)
        assert (answer.body[:1], answer.body[2:4]) == (b"\x88", (1_002).to_bytes(2))
    scene.recorder.wait_for(lambda recorder: recorder.is_tunnel_closed)
    assert [one.opcode for one in scene.recorder.frames if one.opcode != 8] == []


SILENT = {
    "nothing": b"",
    "half_a_preface": h2.PREFACE[:10],
    "preface": h2.PREFACE,
    "half_settings": h2.PREFACE + h2.settings()[:5],
    "settings_without_acknowledgement": h2.HELLO,
    "half_a_head": h2.HELLO + h2.SETTINGS_ACK + h2.get(1, flags=h2.END_STREAM),
    "half_a_frame": h2.HELLO + h2.SETTINGS_ACK + h2.get(1)[:-1],
    "idle": h2.HELLO + h2.SETTINGS_ACK,
    "pings_alone": h2.HELLO + h2.SETTINGS_ACK + h2.ping() * 10,
}


def test_connections_that_stay_where_they_are_end(brisk: Scene) -> None:
    """In the preface, without acknowledgement of our SETTINGS, in a head, idle: each has its time.

    A client that has said nothing yet is idle: browsers connect ahead.
    """
    before = brisk.failures()
    with ExitStack() as stack:
        clients = {name: stack.enter_context(brisk.connect_http2()) for name in SILENT}
        for name, client in clients.items():
            client.send(SILENT[name])
        codes = {name: client.end() for name, client in clients.items()}
        assert all(client.client.end is End.CLEAN for client in clients.values())
    unsettled = ("half_a_preface", "preface", "half_settings", "settings_without_acknowledgement")
    assert {codes[name] for name in unsettled} == {h2.SETTINGS_TIMEOUT}
    assert {codes[name] for name in ("nothing", "idle", "pings_alone")} == {h2.NO_ERROR}
    brisk.settle()
    assert brisk.begun == []
    failed = brisk.failures() - before
    assert set(failed) <= {"http2_settings_timeout", "http2_protocol_error"}
    assert failed["http2_settings_timeout"] == len(unsettled)


@cases({"preface": h2.PREFACE, "settings": h2.HELLO})
def test_connections_that_get_no_further_cost_little(scene: Scene, case: bytes) -> None:
    """Each of 300 has its fixed allowance; `http2_settings_timeout` ends them."""
    count = 300
    with bystanders(scene) as them, ExitStack() as stack:
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        for _ in range(count):
            stack.enter_context(scene.connect_http2()).send(case)
        them.go_on()
        assert scene.proxy.usage().peak_bytes - used.peak_bytes < count * (65_536 + len(case))
    scene.settle()
    until_found(lambda: found(scene.proxy.admin.metrics(), "plexigate_connections_open") <= 1)
