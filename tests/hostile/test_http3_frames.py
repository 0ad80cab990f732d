"""Frames and streams that break the rules of RFC 9114 and RFC 9204: the connection or the stream ends with the code they ask for."""

import json
from collections.abc import Callable

import pytest

from proxy.quic.availability import unavailable
from tests.hostile import http2_frames as h2
from tests.hostile import http3_frames as h3
from tests.hostile.http3_client import Http3Client
from tests.hostile.scene import Scene, cases
from tests.waiting import until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

Deed = Callable[[Http3Client], object]
BODY_TO_COME = h3.post(b"/streamed/x")


def control(data: bytes) -> Deed:
    """What a client says on its control stream, from the beginning."""
    return lambda client: client.begin_one_way(h3.CONTROL, data)


def settled(data: bytes) -> Deed:
    """The same behind its SETTINGS."""
    return control(h3.settings() + data)


def one_way(kind: int, *data: bytes) -> Deed:
    """A stream of this type, for each of these."""
    return lambda client: [client.open(), *(client.begin_one_way(kind, one) for one in data)]


def asking(data: bytes, *, ends: bool = False) -> Deed:
    """A stream of a request, beside a control stream."""
    return lambda client: client.open().begin(data, ends=ends)


def ended(kind: int) -> Deed:
    """A stream of this type, which ends."""

    def deed(client: Http3Client) -> None:
        stream = client.open().control_stream if kind == h3.CONTROL else client.open().begin_one_way(kind)
        client.send(stream, b"", ends=True)

    return deed


def reset(kind: int) -> Deed:
    """A stream of this type, which the client gives up."""

    def deed(client: Http3Client) -> None:
        stream = client.open().control_stream if kind == h3.CONTROL else client.open().begin_one_way(kind)
        client.quic.sync()
        client.quic.reset_stream(stream, h3.NO_ERROR)

    return deed


FAULTS: dict[str, tuple[Deed, int]] = {
    # RFC 9114 section 6.2.1, 7.2.4
    "control_without_settings": (control(h3.frame(h3.MAX_PUSH_ID, b"\1")), h3.MISSING_SETTINGS),
    "control_begins_with_goaway": (control(h3.frame(h3.GOAWAY, b"\0")), h3.MISSING_SETTINGS),
    "control_begins_with_grease": (control(h3.frame(h3.GREASE, b"x")), h3.MISSING_SETTINGS),
    "settings_twice": (settled(h3.settings()), h3.FRAME_UNEXPECTED),
    "two_control_streams": (one_way(h3.CONTROL, h3.settings()), h3.STREAM_CREATION_ERROR),
    "two_encoder_streams": (one_way(h3.ENCODER, b"", b""), h3.STREAM_CREATION_ERROR),
    "two_decoder_streams": (one_way(h3.DECODER, b"", b""), h3.STREAM_CREATION_ERROR),
    "push_stream": (one_way(h3.PUSH, b"\0"), h3.STREAM_CREATION_ERROR),
    "control_ends": (ended(h3.CONTROL), h3.CLOSED_CRITICAL_STREAM),
    "encoder_ends": (ended(h3.ENCODER), h3.CLOSED_CRITICAL_STREAM),
    "decoder_ends": (ended(h3.DECODER), h3.CLOSED_CRITICAL_STREAM),
    "control_is_reset": (reset(h3.CONTROL), h3.CLOSED_CRITICAL_STREAM),
    "encoder_is_reset": (reset(h3.ENCODER), h3.CLOSED_CRITICAL_STREAM),
    "decoder_is_reset": (reset(h3.DECODER), h3.CLOSED_CRITICAL_STREAM),
    # 7.2.4.1
    **{f"setting_{one}_of_http_2": (control(h3.settings((one, 0))), h3.SETTINGS_ERROR) for one in (2, 3, 4, 5)},
    "settings_cut": (control(h3.frame(h3.SETTINGS, b"\6")), h3.FRAME_ERROR),
    "connect_protocol_of_2": (control(h3.settings((h3.CONNECT_PROTOCOL, 2))), h3.SETTINGS_ERROR),
    # 7.2.8
    **{
        f"frame_{one}_of_http_2_on_{where}": (deed(h3.frame(one, bytes(8))), h3.FRAME_UNEXPECTED)
        for one in (2, 6, 8, 9)
        for where, deed in (("control", settled), ("a_request", asking))
    },
    # 7.2
    "data_on_control": (settled(h3.data(b"x")), h3.FRAME_UNEXPECTED),
    "headers_on_control": (settled(h3.get()), h3.FRAME_UNEXPECTED),
    "push_promise_on_control": (settled(h3.frame(h3.PUSH_PROMISE, b"\0\0\0")), h3.FRAME_UNEXPECTED),
    "push_promise_on_a_request": (asking(h3.frame(h3.PUSH_PROMISE, b"\0" + h3.section([]))), h3.FRAME_UNEXPECTED),
    "settings_on_a_request": (asking(h3.settings()), h3.FRAME_UNEXPECTED),
    "goaway_on_a_request": (asking(h3.frame(h3.GOAWAY, b"\0")), h3.FRAME_UNEXPECTED),
    "max_push_id_on_a_request": (asking(h3.frame(h3.MAX_PUSH_ID, b"\0")), h3.FRAME_UNEXPECTED),
    "cancel_push_on_a_request": (asking(h3.frame(h3.CANCEL_PUSH, b"\0")), h3.FRAME_UNEXPECTED),
    "data_before_headers": (asking(h3.data(b"x") + h3.get()), h3.FRAME_UNEXPECTED),
    "data_behind_trailers": (asking(BODY_TO_COME + h3.headers([]) + h3.data(b"x")), h3.FRAME_UNEXPECTED),
    "headers_behind_trailers": (asking(BODY_TO_COME + h3.headers([]) + h3.headers([])), h3.FRAME_UNEXPECTED),
    # 7.1
    "goaway_empty": (settled(h3.frame(h3.GOAWAY)), h3.FRAME_ERROR),
    **{
        f"stream_ends_in_{name}": (asking(data, ends=True), h3.FRAME_ERROR)
        for name, data in {
            "a_length": b"\1",
            "a_head": h3.get()[:-3],
            "a_body": BODY_TO_COME + h3.data(b"xyz")[:-1],
            "an_unknown_frame": BODY_TO_COME + h3.frame(h3.GREASE, b"x", length=9),
        }.items()
    },
    "stream_ends_in_a_type": (asking(b"\x40", ends=True), h3.GENERAL_PROTOCOL_ERROR),
    "stream_of_nothing": (asking(b"", ends=True), h3.FRAME_UNEXPECTED),
    # RFC 9218 section 7.2
    "priority_update_of_no_sense": (settled(h3.frame(h3.PRIORITY_UPDATE, b"\0\xff\xff")), h3.GENERAL_PROTOCOL_ERROR),
    # 5.2, 7.2.3, 7.2.7
    "goaway_that_grows": (settled(h3.frame(h3.GOAWAY, b"\0") + h3.frame(h3.GOAWAY, b"\4")), h3.ID_ERROR),
    # H3_ID_ERROR in the RFC, and another code of libnghttp3
    "max_push_id_that_shrinks": (
        settled(h3.frame(h3.MAX_PUSH_ID, b"\5") + h3.frame(h3.MAX_PUSH_ID, b"\4")),
        h3.FRAME_ERROR,
    ),
    "cancel_push_of_nothing": (settled(h3.frame(h3.CANCEL_PUSH, b"\7")), h3.FRAME_UNEXPECTED),
    # RFC 9204 section 2.2, 3.2.3, 4.1.3, 4.3, 4.4
    "capacity_beyond_ours": (one_way(h3.ENCODER, h2.number(4_097, 5, 0x20)), h3.ENCODER_STREAM_ERROR),
    "capacity_of_a_terabyte": (one_way(h3.ENCODER, h2.number(1 << 40, 5, 0x20)), h3.ENCODER_STREAM_ERROR),
    "number_without_end": (one_way(h3.ENCODER, b"\x3f" + b"\xff" * 20), h3.ENCODER_STREAM_ERROR),
    "entry_without_capacity": (one_way(h3.ENCODER, b"\x41a\1b"), h3.ENCODER_STREAM_ERROR),
    "entry_larger_than_the_table": (
        one_way(h3.ENCODER, h2.number(64, 5, 0x20) + b"\x41a" + h2.text(b"b" * 64)),
        h3.ENCODER_STREAM_ERROR,
    ),
    "duplicate_of_nothing": (one_way(h3.ENCODER, h2.number(4_096, 5, 0x20) + b"\0"), h3.ENCODER_STREAM_ERROR),
    "name_of_nothing": (one_way(h3.ENCODER, h2.number(4_096, 5, 0x20) + b"\x85\1b"), h3.ENCODER_STREAM_ERROR),
    "name_outside_of_the_static_table": (
        one_way(h3.ENCODER, h2.number(4_096, 5, 0x20) + h2.number(99, 6, 0xC0) + b"\1b"),
        h3.ENCODER_STREAM_ERROR,
    ),
    "name_longer_than_the_table": (
        one_way(h3.ENCODER, h2.number(4_096, 5, 0x20) + h2.number(1 << 30, 5, 0x40)),
        h3.INTERNAL_ERROR,  # of libnghttp3, which refuses the length
    ),
    "acknowledgement_of_nothing": (one_way(h3.DECODER, b"\x80"), h3.DECODER_STREAM_ERROR),
    "increment_of_nothing": (one_way(h3.DECODER, b"\x01"), h3.DECODER_STREAM_ERROR),
    "increment_of_zero": (one_way(h3.DECODER, b"\x00"), h3.DECODER_STREAM_ERROR),
    "field_of_nothing": (asking(h3.frame(h3.HEADERS, b"\0\0\x80")), h3.DECOMPRESSION_FAILED),
    "field_outside_of_the_static_table": (
        asking(h3.frame(h3.HEADERS, b"\0\0" + h2.number(99, 6, 0xC0))),
        h3.DECOMPRESSION_FAILED,
    ),
    "field_that_would_come": (asking(h3.frame(h3.HEADERS, b"\2\0\x80")), h3.DECOMPRESSION_FAILED),
    "base_below_zero": (asking(h3.frame(h3.HEADERS, b"\0\x80\x80")), h3.DECOMPRESSION_FAILED),
    "insert_count_beyond_the_table": (asking(h3.frame(h3.HEADERS, b"\xff\xff\x7f\0")), h3.DECOMPRESSION_FAILED),
    "section_cut_in_a_field": (asking(h3.frame(h3.HEADERS, b"\0\0\x25abc")), h3.DECOMPRESSION_FAILED),
    "huffman_with_an_end": (
        asking(h3.frame(h3.HEADERS, h3.section(h2.fields()) + b"\x21a\x84\xff\xff\xff\xff")),
        h3.DECOMPRESSION_FAILED,
    ),
}
"""Each ends its connection."""


def cuts(scene: Scene) -> list[dict[str, str]]:
    """What the log says of the connections that were ended."""
    return [json.loads(line) for line in scene.proxy.output if '"reason":"http3_' in line]


@pytest.mark.parametrize("part", range(4))
def test_a_fault_ends_its_connection_with_its_code_and_no_other(scene: Scene, part: int) -> None:
    faults = list(FAULTS.items())[part::4]
    before, lines = scene.failures(), len(cuts(scene))
    with scene.connect_http3() as other:
        other.open()
        for name, (deed, code) in faults:
            with scene.connect_http3() as client:
                deed(client)
                assert (name, hex(client.end())) == (name, hex(code))
            assert other.ask(h3.get(b"/honest")).status == 200
    assert (scene.failures() - before)["http3_protocol_error"] == len(faults)
    assert until_found(lambda: len(cuts(scene)) - lines == len(faults))
    scene.settle()
    assert scene.targets == ["/honest"] * len(faults)


STREAM_FAULTS = {
    "section_empty": h3.frame(h3.HEADERS),
    "trailers_of_a_pseudo_field": BODY_TO_COME + h3.headers([(b":path", b"/smuggled")]),
    "trailers_with_a_connection": BODY_TO_COME + h3.headers([(b"connection", b"close")]),
    "trailers_before_their_length": h3.post(b"/streamed/x", (b"content-length", b"5")) + h3.headers([]),
    "data_beyond_a_length": h3.post(b"/streamed/x", (b"content-length", b"1")) + h3.data(b"xy"),
}


def test_a_fault_of_a_message_resets_its_stream_alone(scene: Scene) -> None:
    with scene.connect_http3() as client:
        client.open()
        for name, data in STREAM_FAULTS.items():
            stream = client.begin(data)
            answer = client.answer(stream)
            assert (name, answer.reset, client.stopped[stream]) == (name, h3.MESSAGE_ERROR, h3.MESSAGE_ERROR)
            assert client.ask(h3.get(b"/honest")).status == 200
    scene.settle()
    assert scene.targets == ["/honest"] * len(STREAM_FAULTS)


def test_priorities_in_any_cut_leave_the_worker_alive(scene: Scene) -> None:
    """libnghttp3 1.8 aborts if data ends between the ID and the value of a PRIORITY_UPDATE."""
    said = h3.settings() + h3.frame(h3.PRIORITY_UPDATE, b"\x40\0u=1, i") + h3.frame(h3.PRIORITY_UPDATE, b"\4i")
    said += h3.frame(h3.PRIORITY_UPDATE, b"\x08") + h3.frame(h3.GREASE, b"x") + h3.frame(h3.PRIORITY_UPDATE + 1, b"")
    for least in (1, 2, 3):
        with scene.connect_http3() as client:
            stream = client.begin_one_way(h3.CONTROL)
            client.quic.sync()
            for at in range(0, len(said) - 6, least):
                client.send(stream, said[at : min(at + least, len(said) - 6)])
                client.quic.sync()
            assert client.ask(h3.get(b"/honest")).status == 200
    with scene.connect_http3() as client:
        client.send(client.open().control_stream, h3.frame(h3.PRIORITY_UPDATE, b"\0", length=4), ends=True)
        assert client.end() == h3.CLOSED_CRITICAL_STREAM


IGNORED = {
    "unknown_settings": control(h3.settings((0x21, 5), (0x1F * 7 + 0x21, 1 << 60), (h3.FIELD_SECTION_SIZE, 1 << 60))),
    "unknown_frames_on_control": settled(h3.frame(h3.GREASE, b"x" * 1_000) + h3.frame(0x1F * 9 + 0x21) * 20),
    "unknown_streams": lambda client: client.open() and [client.begin_one_way(0x21, b"x" * 1_000)],
    "max_push_id": settled(h3.frame(h3.MAX_PUSH_ID, b"\5") + h3.frame(h3.MAX_PUSH_ID, b"\5")),
    "priority_update": settled(h3.frame(h3.PRIORITY_UPDATE, b"\0u=1, i")),
    "setting_twice": control(h3.settings((h3.FIELD_SECTION_SIZE, 1_000), (h3.FIELD_SECTION_SIZE, 2_000))),
    "streams_of_qpack": lambda client: [client.begin_one_way(one) for one in (h3.ENCODER, h3.DECODER)],
    "no_control_stream": lambda _: None,
}


@cases(IGNORED)
def test_what_a_proxy_does_not_know_means_nothing(scene: Scene, case: Deed) -> None:
    grease = h3.frame(h3.GREASE, b"grease") + h3.frame(0x1F * 1_000 + 0x21)
    with scene.connect_http3() as client:
        case(client)
        answer = client.ask(
            grease + h3.post(b"/x") + grease + h3.data(b"body") + grease + h3.data() + h3.headers([]) + grease
        )
        assert (answer.status, answer.reset) == (200, None)
    assert scene.only_request().body == b"body"
