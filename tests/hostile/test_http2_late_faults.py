"""Faults of a request that was answered before it ended: it is judged to its end anyway (RFC 9113 8.1.1).

The fault comes behind the whole answer, or right behind the head of its request. Some cases of h2spec (6.9, 6.9.1,
8.1, 8.1.2.1, 8.1.2.6) depend on which of the two happens.
"""

from dataclasses import dataclass

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.answers import Answer, Moment
from tests.hostile.scene import Scene, cases


@dataclass(frozen=True, slots=True)
class Fault:
    """What comes behind a head, with the code that the stream is reset with."""

    frames: bytes
    code: int
    length: int | None = None


FAULTS = {
    "6.9_credit_of_0": Fault(h2.window_update(1, 0), h2.PROTOCOL_ERROR),
    "6.9.1_window_overflow": Fault(h2.window_update(1, h2.LARGEST_WINDOW) * 2, h2.FLOW_CONTROL_ERROR),
    "8.1_second_head_without_end": Fault(
        h2.data(1, b"test") + h2.frame(h2.HEADERS, h2.block([(b"x-test", b"ok")]), h2.END_HEADERS, 1), h2.PROTOCOL_ERROR
    ),
    "8.1.2.1_pseudo_field_as_trailer": Fault(
        h2.data(1, b"test") + h2.frame(h2.HEADERS, h2.block([(b":method", b"POST")]), h2.WHOLE, 1), h2.PROTOCOL_ERROR
    ),
}
LENGTHS = {
    "8.1.2.6_shorter_than_its_length": Fault(h2.data(1, b"test", ends=True), h2.PROTOCOL_ERROR, 5),
    "8.1.2.6_longer_than_its_length": Fault(h2.data(1, b"test", ends=True), h2.PROTOCOL_ERROR, 1),
    "8.1.2.6_longer_in_two_frames": Fault(h2.data(1, b"test") + h2.data(1, b"test", ends=True), h2.PROTOCOL_ERROR, 1),
}
TIMES = pytest.mark.parametrize("is_late", [True, False], ids=["behind_the_answer", "at_once"])
EARLY = Answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", at=Moment.HEAD)


def judge(scene: Scene, fault: Fault, status: int, path: bytes, host: bytes, *, is_late: bool) -> None:
    """Send the fault, and see that it resets the stream, and nothing else."""
    length = [] if fault.length is None else [(b"content-length", b"%d" % fault.length)]
    fields = h2.fields(path, *length, method=b"POST", authority=host)
    head = h2.frame(h2.HEADERS, h2.block(fields), h2.END_HEADERS, 1)
    with scene.connect_http2() as client:
        client.open()
        if is_late:
            client.send(head)
            client.read_until(lambda: 1 in client.streams and client.streams[1].has_ended)
            assert (client.streams[1].status, client.streams[1].reset) == (status, None)
            client.send(fault.frames)
        else:
            client.send(head + fault.frames)
        client.read_until(lambda: 1 in client.streams and client.streams[1].reset is not None)
        assert client.streams[1].reset == fault.code
        client.send(h2.get(3, b"/honest"))
        assert client.answer(3).status == 200
    scene.settle()
    assert scene.targets == ["/honest"]


@cases(FAULTS)
@TIMES
def test_request_that_a_server_answers_early(scene: Scene, case: Fault, *, is_late: bool) -> None:
    if is_late:
        scene.recorder.answer_next(EARLY)
    judge(scene, case, 401, b"/streamed/x", b"chat.test", is_late=is_late)


@cases(FAULTS | LENGTHS)
@TIMES
def test_request_that_the_proxy_refuses(scene: Scene, case: Fault, *, is_late: bool) -> None:
    judge(scene, case, 421, b"/x", b"unknown.test", is_late=is_late)


def test_priorities_of_rfc_7540_are_ignored(scene: Scene) -> None:
    """A stream that depends on itself was a fault there (h2spec 5.3.1): RFC 9113 5.3.2 has dropped the tree."""
    on_itself = (1).to_bytes(4) + b"\xff"
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.frame(h2.PRIORITY, on_itself, 0, 1))
        client.send(h2.frame(h2.HEADERS, on_itself + h2.block(h2.fields()), h2.WHOLE | h2.WITH_PRIORITY, 1))
        assert client.answer(1).status == 200
