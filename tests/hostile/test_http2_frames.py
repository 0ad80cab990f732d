"""Frames that break the rules of RFC 9113, sections 3.4 to 6: the connection or the stream ends with the code it asks for."""

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.bystanders import bystanders
from tests.hostile.client import Cut
from tests.hostile.scene import SMUGGLED, Scene, cases

OPEN = h2.post(1, b"/streamed/x")
"""A stream whose body has to come."""
BLOCK = h2.block(h2.fields(b"/x"))

FAULTS = {
    # 3.4
    "request_before_settings": (h2.PREFACE + h2.get(1), h2.PROTOCOL_ERROR),
    "ping_before_settings": (h2.PREFACE + h2.ping() + h2.settings(), h2.PROTOCOL_ERROR),
    "acknowledgement_before_settings": (h2.PREFACE + h2.SETTINGS_ACK + h2.settings(), h2.PROTOCOL_ERROR),
    "http_1_in_place_of_the_preface": (SMUGGLED, h2.PROTOCOL_ERROR),
    "preface_with_a_change": (h2.PREFACE[:-4] + b"X\n\r\n" + h2.settings(), h2.PROTOCOL_ERROR),
    "preface_twice": (h2.PREFACE + h2.HELLO, h2.FRAME_SIZE_ERROR),
    "preface_of_http_2_1": (h2.PREFACE.replace(b"2.0", b"2.1"), h2.PROTOCOL_ERROR),
    "zeros": (bytes(9_000), h2.PROTOCOL_ERROR),
    # 4.1, 4.2
    "data_too_large": (h2.HELLO + OPEN + h2.data(1, bytes(16_385)), h2.FRAME_SIZE_ERROR),
    "headers_too_large": (h2.HELLO + h2.frame(h2.HEADERS, bytes(16_385), h2.WHOLE, 1), h2.FRAME_SIZE_ERROR),
    "unknown_frame_too_large": (h2.HELLO + h2.frame(0xFA, b"", length=2**24 - 1), h2.FRAME_SIZE_ERROR),
    "largest_length": (h2.HELLO + b"\xff" * 9, h2.FRAME_SIZE_ERROR),
    # 4.3, 6.10
    "frame_within_a_block": (h2.HELLO + h2.get(1, flags=1) + h2.ping(), h2.PROTOCOL_ERROR),
    "unknown_frame_within_a_block": (h2.HELLO + h2.get(1, flags=1) + h2.frame(0xFA), h2.PROTOCOL_ERROR),
    "continuation_of_another_stream": (
        h2.HELLO + h2.get(1, flags=1) + h2.frame(h2.CONTINUATION, b"\x82", 4, 3),
        h2.PROTOCOL_ERROR,
    ),
    "continuation_of_nothing": (h2.HELLO + h2.frame(h2.CONTINUATION, BLOCK, 4, 1), h2.PROTOCOL_ERROR),
    "continuation_behind_the_block": (h2.HELLO + OPEN + h2.frame(h2.CONTINUATION, BLOCK, 4, 1), h2.PROTOCOL_ERROR),
    "continuation_for_stream_0": (h2.HELLO + h2.frame(h2.CONTINUATION, BLOCK, 4, 0), h2.PROTOCOL_ERROR),
    # RFC 7541
    "index_0": (h2.HELLO + h2.frame(h2.HEADERS, b"\x80", h2.WHOLE, 1), h2.COMPRESSION_ERROR),
    "index_of_nothing": (h2.HELLO + h2.frame(h2.HEADERS, b"\xbe", h2.WHOLE, 1), h2.COMPRESSION_ERROR),
    "index_that_is_huge": (h2.HELLO + h2.frame(h2.HEADERS, b"\xff\xff\xff\xff\xff\x0f", 5, 1), h2.COMPRESSION_ERROR),
    "number_without_end": (h2.HELLO + h2.frame(h2.HEADERS, b"\xff" * 100, h2.WHOLE, 1), h2.COMPRESSION_ERROR),
    "string_beyond_the_block": (h2.HELLO + h2.frame(h2.HEADERS, b"\x00\x05ab", h2.WHOLE, 1), h2.COMPRESSION_ERROR),
    "string_of_gigabytes": (
        h2.HELLO + h2.frame(h2.HEADERS, b"\x00" + h2.number(2**31, 7), h2.WHOLE, 1),
        h2.COMPRESSION_ERROR,
    ),
    "huffman_end_of_string": (
        h2.HELLO + h2.frame(h2.HEADERS, b"\x00\x84\xff\xff\xff\xff\x00", 5, 1),
        h2.COMPRESSION_ERROR,
    ),
    "huffman_padding_of_zeros": (h2.HELLO + h2.frame(h2.HEADERS, b"\x00\x81\x18\x00", 5, 1), h2.COMPRESSION_ERROR),
    "table_larger_than_announced": (
        h2.HELLO + h2.frame(h2.HEADERS, h2.table_size(4_097) + BLOCK, 5, 1),
        h2.COMPRESSION_ERROR,
    ),
    "table_that_jumps": (
        h2.HELLO + h2.frame(h2.HEADERS, (h2.table_size(0) + h2.table_size(4_096)) * 2_000 + BLOCK, 5, 1),
        h2.COMPRESSION_ERROR,
    ),
    "table_size_behind_a_field": (
        h2.HELLO + h2.frame(h2.HEADERS, BLOCK + h2.table_size(0), 5, 1),
        h2.COMPRESSION_ERROR,
    ),
    # 5.1, 5.1.1
    "even_stream": (h2.HELLO + h2.get(2), h2.PROTOCOL_ERROR),
    "lower_stream": (h2.HELLO + h2.get(5) + h2.get(3), h2.PROTOCOL_ERROR),
    "data_for_an_idle_stream": (h2.HELLO + h2.data(1, b"x"), h2.PROTOCOL_ERROR),
    "reset_of_an_idle_stream": (h2.HELLO + h2.rst(1), h2.PROTOCOL_ERROR),
    "window_of_an_idle_stream": (h2.HELLO + h2.window_update(1, 1), h2.PROTOCOL_ERROR),
    "data_for_a_stream_of_ours": (h2.HELLO + h2.data(2, b"x"), h2.PROTOCOL_ERROR),
    "data_behind_a_reset": (h2.HELLO + OPEN + h2.rst(1) + h2.data(1, b"x"), h2.STREAM_CLOSED),
    "headers_behind_a_reset": (h2.HELLO + OPEN + h2.rst(1) + h2.get(1), h2.STREAM_CLOSED),
    # 6
    "data_for_stream_0": (h2.HELLO + h2.data(0, b"x"), h2.PROTOCOL_ERROR),
    "headers_for_stream_0": (h2.HELLO + h2.get(0), h2.PROTOCOL_ERROR),
    "priority_for_stream_0": (h2.HELLO + h2.frame(h2.PRIORITY, bytes(5)), h2.PROTOCOL_ERROR),
    "reset_of_stream_0": (h2.HELLO + h2.rst(0), h2.PROTOCOL_ERROR),
    "settings_for_a_stream": (h2.HELLO + h2.frame(h2.SETTINGS, b"", 0, 1), h2.PROTOCOL_ERROR),
    "ping_for_a_stream": (h2.HELLO + h2.frame(h2.PING, bytes(8), 0, 1), h2.PROTOCOL_ERROR),
    "goaway_for_a_stream": (h2.HELLO + h2.frame(h2.GOAWAY, bytes(8), 0, 1), h2.PROTOCOL_ERROR),
    "push": (h2.HELLO + h2.frame(h2.PUSH_PROMISE, b"\0\0\0\2" + BLOCK, 4, 1), h2.PROTOCOL_ERROR),
    "padding_longer_than_data": (h2.HELLO + OPEN + h2.frame(h2.DATA, b"\x05abc", h2.PADDED, 1), h2.PROTOCOL_ERROR),
    "padding_as_long_as_the_frame": (h2.HELLO + OPEN + h2.frame(h2.DATA, b"\x04abc", h2.PADDED, 1), h2.PROTOCOL_ERROR),
    "padding_without_its_length": (h2.HELLO + OPEN + h2.frame(h2.DATA, b"", h2.PADDED, 1), h2.FRAME_SIZE_ERROR),
    "padding_longer_than_headers": (h2.HELLO + h2.frame(h2.HEADERS, b"\xff" + BLOCK, 13, 1), h2.PROTOCOL_ERROR),
    "priority_beyond_headers": (h2.HELLO + h2.frame(h2.HEADERS, b"\0\0\0", 37, 1), h2.FRAME_SIZE_ERROR),
    "priority_of_4": (h2.HELLO + h2.frame(h2.PRIORITY, bytes(4), 0, 1), h2.FRAME_SIZE_ERROR),
    "reset_of_5": (h2.HELLO + OPEN + h2.frame(h2.RST_STREAM, bytes(5), 0, 1), h2.FRAME_SIZE_ERROR),
    "settings_of_5": (h2.HELLO + h2.frame(h2.SETTINGS, bytes(5)), h2.FRAME_SIZE_ERROR),
    "acknowledgement_with_content": (h2.HELLO + h2.frame(h2.SETTINGS, bytes(6), h2.ACK), h2.FRAME_SIZE_ERROR),
    "two_acknowledgements": (h2.HELLO + h2.SETTINGS_ACK * 2, h2.PROTOCOL_ERROR),
    "ping_of_7": (h2.HELLO + h2.frame(h2.PING, bytes(7)), h2.FRAME_SIZE_ERROR),
    "goaway_of_7": (h2.HELLO + h2.frame(h2.GOAWAY, bytes(7)), h2.FRAME_SIZE_ERROR),
    "window_update_of_5": (h2.HELLO + h2.frame(h2.WINDOW_UPDATE, bytes(5)), h2.FRAME_SIZE_ERROR),
    "priority_update_of_an_even_stream": (h2.HELLO + h2.frame(h2.PRIORITY_UPDATE, b"\0\0\0\2u=1"), h2.PROTOCOL_ERROR),
    "push_enabled_twice_over": (h2.HELLO + h2.settings((h2.ENABLE_PUSH, 2)), h2.PROTOCOL_ERROR),
    "frame_size_of_16383": (h2.HELLO + h2.settings((h2.FRAME_SIZE, 16_383)), h2.PROTOCOL_ERROR),
    "frame_size_of_16777216": (h2.HELLO + h2.settings((h2.FRAME_SIZE, 2**24)), h2.PROTOCOL_ERROR),
    "window_setting_of_2_gigabytes": (h2.HELLO + h2.settings((h2.INITIAL_WINDOW, 2**31)), h2.FLOW_CONTROL_ERROR),
    "settings_without_end": (h2.HELLO + h2.settings(*[(0xFF, 1)] * 1_000), h2.ENHANCE_YOUR_CALM),
    # 6.9
    "window_update_of_0": (h2.HELLO + h2.window_update(0, 0), h2.PROTOCOL_ERROR),
    "window_that_overflows": (h2.HELLO + h2.window_update(0, h2.LARGEST_WINDOW), h2.FLOW_CONTROL_ERROR),
    "windows_that_overflow": (h2.HELLO + h2.window_update(0, 2**30) * 2, h2.FLOW_CONTROL_ERROR),
    "setting_that_overflows_a_window": (
        h2.HELLO + OPEN + h2.window_update(1, 2**30) + h2.settings((h2.INITIAL_WINDOW, 2**30 + 65_536)),
        h2.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.SEGMENTS], ids=["whole", "in_segments"])
def test_faults_end_their_connections_with_the_code_that_names_them(scene: Scene, cut: Cut) -> None:
    with bystanders(scene) as them:
        for name, (frames, code) in FAULTS.items():
            if cut is Cut.SEGMENTS and len(frames) > 1_000:
                continue  # its fault is its size
            before = scene.failures() if cut is Cut.WHOLE else None
            with scene.connect_http2() as client:
                client.send(frames, cut)
                assert (name, client.end()) == (name, code)
            if before is not None:
                counted = {one for one in scene.failures() - before if one.startswith("http2_")}
                assert len(counted) == 1, name
        them.go_on()
    scene.settle()
    assert scene.targets == []


STREAM_FAULTS = {
    "window_update_of_0": (OPEN + h2.window_update(1, 0), h2.PROTOCOL_ERROR),
    "window_that_overflows": (OPEN + h2.window_update(1, h2.LARGEST_WINDOW), h2.FLOW_CONTROL_ERROR),
    "trailers_that_do_not_end": (OPEN + h2.frame(h2.HEADERS, h2.literal(b"x", b"y"), 4, 1), h2.PROTOCOL_ERROR),
}


@cases(STREAM_FAULTS)
def test_faults_of_a_stream_end_that_stream_alone(scene: Scene, case: tuple[bytes, int]) -> None:
    frames, code = case
    with scene.connect_http2() as client:
        client.open()
        client.send(frames)
        assert client.answer(1).reset == code
        # what is on its way when our reset gets there is not held against the client
        client.send(h2.data(1, b"late") + h2.data(1, b"", ends=True) + h2.get(3, b"/honest"))
        assert client.answer(3).status == 200
    scene.settle()
    assert scene.targets == ["/honest"]


LAWFUL = {
    "priority_of_an_idle_stream": h2.frame(h2.PRIORITY, b"\0\0\0\3\xff", 0, 5),
    "priority_on_itself": h2.frame(h2.PRIORITY, b"\0\0\0\5\xff", 0, 5),
    "unknown_frame": h2.frame(0xFA, bytes(16_384), 0xFF, 7),
    "unknown_setting": h2.settings((0x0A0A, 2**32 - 1)),
    "unknown_flags_of_a_ping": h2.frame(h2.PING, bytes(8), 0xFE),
    "reserved_bit": h2.frame(h2.PING, bytes(8), 0, 1 << 31),
    "table_size_that_jumps": h2.settings((h2.TABLE_SIZE, 0), (h2.TABLE_SIZE, 2**32 - 1), (h2.TABLE_SIZE, 1)),
    "push_allowed": h2.settings((h2.ENABLE_PUSH, 1)),
}


def test_what_the_protocol_allows_is_no_fault(scene: Scene) -> None:
    with scene.connect_http2() as client:
        client.open()
        for number, frames in enumerate(LAWFUL.values()):
            client.send(frames + h2.get(2 * number + 1, b"/%d" % number))
            assert client.answer(2 * number + 1).body == b"/%d" % number
        block = b"\0\0\0\x63\xff" + h2.table_size(0) + h2.table_size(4_096) + h2.block(h2.fields(b"/self"))
        client.send(h2.frame(h2.HEADERS, b"\x09" + block + bytes(9), h2.WHOLE | h2.PADDED | h2.WITH_PRIORITY, 99))
        assert client.answer(99).body == b"/self", "a stream that depends on itself, with padding"
        assert client.goaway is None


def test_frames_of_one_byte_are_one_body(scene: Scene) -> None:
    size = 20_000
    with scene.connect_http2() as client:
        client.open()
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        client.send(h2.post(1, b"/x") + h2.data(1, b"x") * (size - 1) + h2.data(1, b"x", ends=True))
        assert client.answer(1).status == 200
        now = scene.proxy.usage()
    assert now.peak_bytes - used.peak_bytes < 2_000_000
    assert now.cpu_seconds - used.cpu_seconds < 2.0
    assert scene.only_request().body == b"x" * size


def test_padding_counts_for_windows_and_not_for_the_body(scene: Scene) -> None:
    """255 bytes of padding for one of body: credit comes for both, else the upload would stand still."""
    padded = h2.frame(h2.DATA, b"\xff" + b"x" + bytes(255), h2.PADDED, 1)
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.post(1, b"/x", (b"content-length", b"255")) + padded * 255)
        client.sync()
        client.send(h2.data(1, b"", ends=True))
        assert client.answer(1).status == 200
    assert scene.only_request().body == b"x" * 255
