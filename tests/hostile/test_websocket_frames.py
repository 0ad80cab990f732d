"""WebSocket frames: what the two ends might understand differently is not relayed (RFC 6455 section 5).

The recorder reads frames as strictly as it reads requests. Whoever breaks the rules is told so, and both connections end.
"""

import zlib

import pytest

from tests.hostile.answers import SWITCHING, Answer
from tests.hostile.client import Client, Cut, End
from tests.hostile.recorder import Recorder
from tests.hostile.scene import ALL_CUTS, CUTS, Scene, cases, request
from tests.hostile.strict_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, FrameReader, unmasked

FIN = 0x80
MASK_KEY = b"\x12\x34\x56\x78"
PROTOCOL_ERROR, TOO_BIG, GOING_AWAY = 1002, 1009, 1001


def handshake(*lines: str) -> bytes:
    """An opening handshake."""
    return request(
        "GET",
        "/chat",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *lines,
    )


def frame(first: int, payload: bytes = b"", *, masked: bool = True, length: bytes | None = None) -> bytes:
    """A frame; `length` replaces the octets that say how long it is, without the mask bit."""
    if length is None:
        size = len(payload)
        length = (
            bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65_536 else b"\x7f" + size.to_bytes(8)
        )
    head = bytes([first, length[0] | (0x80 if masked else 0)]) + length[1:]
    return head + (MASK_KEY + unmasked(payload, MASK_KEY) if masked else payload)


HELLO = frame(FIN | TEXT, b"hello")


def opened(scene: Scene, *lines: str, switching: Answer = SWITCHING) -> Client:
    """A WebSocket whose handshake is over."""
    scene.recorder.answer_next(switching)
    client = scene.connect()
    client.send(handshake(*lines))
    assert client.read_response().status == 101
    return client


def frames_to_end(client: Client) -> list[Frame]:
    """What a client still gets, read strictly."""
    reader = FrameReader(is_masked=False, reserved=0x70)
    reader.feed(client.read_to_end())
    return reader.frames


def code_of(closing: Frame) -> int:
    """The code in a close frame."""
    assert closing.opcode == CLOSE
    return int.from_bytes(closing.payload[:2])


def closed(recorder: Recorder) -> bool:
    """Whether the proxy has left its upstream."""
    return recorder.is_tunnel_closed


FAULTS = {
    "reserved_1": frame(0xC0 | TEXT, b"x"),
    "reserved_2": frame(0xA0 | TEXT, b"x"),
    "reserved_3": frame(0x90 | TEXT, b"x"),
    "reserved_in_ping": frame(0xC0 | PING, b"x"),
    "reserved_in_fragment": frame(0x40 | TEXT, b"x"),
    **{f"opcode_{opcode:x}": frame(FIN | opcode, b"x") for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    "opcode_unknown_and_empty": frame(FIN | 3),
    "ping_in_fragments": frame(PING, b"x"),
    "pong_in_fragments": frame(PONG, b"x"),
    "close_in_fragments": frame(CLOSE, b"\x03\xe8"),
    "ping_of_126": frame(FIN | PING, b"x" * 126),
    "ping_of_65536": frame(FIN | PING, b"x" * 65_536),
    "close_of_126": frame(FIN | CLOSE, b"\x03\xe8" + b"x" * 124),
    "close_with_half_a_code": frame(FIN | CLOSE, b"\x03"),
    "ping_with_long_length": frame(FIN | PING, b"hello", length=b"\x7e\x00\x05"),
    "length_16_for_5": frame(FIN | TEXT, b"hello", length=b"\x7e\x00\x05"),
    "length_16_for_125": frame(FIN | TEXT, b"x" * 125, length=b"\x7e\x00\x7d"),
    "length_64_for_5": frame(FIN | TEXT, b"hello", length=b"\x7f" + (5).to_bytes(8)),
    "length_64_for_65535": frame(FIN | TEXT, b"x" * 65_535, length=b"\x7f" + (65_535).to_bytes(8)),
    "length_64_negative": frame(FIN | TEXT, b"hello", length=b"\x7f" + (1 << 63 | 5).to_bytes(8)),
    "length_64_minus_1": frame(FIN | TEXT, b"hello", length=b"\x7f" + b"\xff" * 8),
    "continuation_of_nothing": frame(FIN | CONTINUATION, b"x"),
    "continuation_of_nothing_unfinished": frame(CONTINUATION, b"x"),
    "text_within_a_message": frame(TEXT, b"x") + frame(FIN | TEXT, b"y"),
    "binary_within_a_message": frame(BINARY, b"x") + frame(BINARY, b"y"),
    "text_behind_ping_within_a_message": frame(TEXT, b"x") + frame(FIN | PING) + frame(FIN | TEXT, b"y"),
    "http": request("GET", "/smuggled"),
    "zeros": bytes(32),
    "ones": b"\xff" * 32,
}


@CUTS
@cases(FAULTS)
def test_a_faulty_frame_of_a_client_is_answered_with_1002(scene: Scene, case: bytes, cut: Cut) -> None:
    if len(case) > 10_000 and cut is Cut.BYTES:
        cut = Cut.RECORDS
    with opened(scene) as client:
        client.send(HELLO + case + HELLO, cut)
        (closing,) = frames_to_end(client)
        assert code_of(closing) == PROTOCOL_ERROR
        assert client.end is End.CLEAN
    scene.recorder.wait_for(closed)
    assert scene.recorder.frames[0] == Frame(FIN | TEXT, b"hello")
    assert {seen.opcode for seen in scene.recorder.frames} <= {TEXT, BINARY, PING}
    assert len(scene.recorder.frames) <= 1 + 2  # what is in order before the fault may have passed


UNMASKED = {
    "text": frame(FIN | TEXT, b"x", masked=False),
    "empty": frame(FIN | TEXT, masked=False),
    "ping": frame(FIN | PING, masked=False),
    "close": frame(FIN | CLOSE, b"\x03\xe8", masked=False),
    "continuation": frame(TEXT, b"x") + frame(FIN | CONTINUATION, b"y", masked=False),
    "long": frame(FIN | BINARY, b"x" * 300, masked=False),
}


@CUTS
@cases(UNMASKED)
def test_an_unmasked_frame_of_a_client_is_answered_with_1002(scene: Scene, case: bytes, cut: Cut) -> None:
    with opened(scene) as client:
        client.send(case + HELLO, cut)
        (closing,) = frames_to_end(client)
        assert code_of(closing) == PROTOCOL_ERROR
    scene.recorder.wait_for(closed)


@cases(FAULTS)
def test_a_faulty_frame_sent_ahead_of_the_101_is_not_relayed_either(scene: Scene, case: bytes) -> None:
    scene.recorder.answer_next(SWITCHING)
    with scene.connect() as client:
        client.send(handshake() + case)
        assert client.read_response().status == 101
        (closing,) = frames_to_end(client)
        assert code_of(closing) == PROTOCOL_ERROR
    scene.recorder.wait_for(closed)


BEHIND_CLOSE = {
    "text": HELLO,
    "ping": frame(FIN | PING, b"x"),
    "another_close": frame(FIN | CLOSE, b"\x03\xe9"),
    "garbage": b"\xff" * 5_000,
    "http": request("GET", "/smuggled"),
}


@CUTS
@cases(BEHIND_CLOSE)
def test_what_is_behind_a_close_frame_is_discarded_and_the_close_is_answered(
    scene: Scene, case: bytes, cut: Cut
) -> None:
    """RFC 6455 section 1.4."""
    closing = frame(FIN | CLOSE, b"\x03\xe8bye")
    with opened(scene) as client:
        client.send(closing + case, Cut.RECORDS if len(case) > 1_000 and cut is Cut.BYTES else cut)
        scene.recorder.wait_for(lambda recorder: recorder.frames != [])
        scene.recorder.say(Answer(frame(FIN | CLOSE, b"\x03\xe8bye", masked=False)))
        reader = FrameReader(is_masked=False)
        while not reader.frames:
            reader.feed(client.read())
        assert reader.frames == [Frame(FIN | CLOSE, b"\x03\xe8bye")]
    scene.recorder.wait_for(closed)
    assert scene.recorder.frames == [Frame(FIN | CLOSE, b"\x03\xe8bye")]


# -- an upstream that breaks the rules

TO_CLIENT = {
    "masked": frame(FIN | TEXT, b"x"),
    "masked_ping": frame(FIN | PING),
    "reserved": frame(0xC0 | TEXT, b"x", masked=False),
    "opcode_3": frame(FIN | 3, b"x", masked=False),
    "ping_in_fragments": frame(PING, b"x", masked=False),
    "ping_of_126": frame(FIN | PING, b"x" * 126, masked=False),
    "close_with_half_a_code": frame(FIN | CLOSE, b"\x03", masked=False),
    "length_16_for_5": frame(FIN | TEXT, b"hello", masked=False, length=b"\x7e\x00\x05"),
    "length_64_negative": frame(FIN | TEXT, b"x", masked=False, length=b"\x7f" + b"\xff" * 8),
    "continuation_of_nothing": frame(FIN | CONTINUATION, b"x", masked=False),
    "text_within_a_message": frame(TEXT, b"x", masked=False) + frame(FIN | TEXT, b"y", masked=False),
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}
GREETING = frame(FIN | TEXT, b"greeting", masked=False)


@cases(TO_CLIENT)
@pytest.mark.parametrize("ahead", [True, False], ids=["behind_the_101", "later"])
def test_a_faulty_frame_of_an_upstream_does_not_reach_the_client(scene: Scene, case: bytes, ahead: bool) -> None:  # noqa: FBT001
    faulty = GREETING + case + GREETING
    switching = Answer(SWITCHING.data + faulty, then=SWITCHING.then) if ahead else SWITCHING
    with opened(scene, switching=switching) as client:
        if not ahead:
            scene.recorder.say(Answer(faulty))
        received = frames_to_end(client)
    assert received[0] == Frame(FIN | TEXT, b"greeting")
    assert len([seen for seen in received if seen.opcode != CLOSE]) <= 2
    scene.recorder.wait_for(closed)
    assert [code_of(seen) for seen in scene.recorder.frames] == [PROTOCOL_ERROR]


# -- what is in order


@ALL_CUTS
def test_frames_in_order_are_relayed_as_they_are(scene: Scene, cut: Cut) -> None:
    frames = [
        Frame(FIN | TEXT, b"hello"),
        Frame(FIN | BINARY, b""),
        Frame(TEXT, b"one "),
        Frame(FIN | PING, b"ping"),
        Frame(CONTINUATION, b""),
        Frame(FIN | PONG, b""),
        Frame(FIN | CONTINUATION, b"message"),
        Frame(FIN | BINARY, bytes(126)),
        Frame(FIN | BINARY, b"x" * 300),
        Frame(FIN | TEXT, b"\xff not utf-8"),
        Frame(FIN | CLOSE, b"\x03\xe8bye"),
    ]
    answered = b"".join(frame(one.first, one.payload, masked=False) for one in frames)
    with opened(scene) as client:
        client.send(b"".join(frame(one.first, one.payload) for one in frames), cut)
        scene.recorder.wait_for(lambda recorder: len(recorder.frames) == len(frames))
        scene.recorder.say(Answer(answered))
        reader = FrameReader(is_masked=False)
        while len(reader.frames) < len(frames):
            reader.feed(client.read())
        assert reader.frames == frames
        client.shut_down()
        assert client.await_end() is End.CLEAN
    scene.recorder.wait_for(closed)
    assert scene.recorder.frames == frames


def test_large_frames_are_relayed_as_they_are(scene: Scene) -> None:
    payloads = [bytes([number]) * 1_000_000 for number in range(4)]
    with opened(scene) as client:
        client.send(b"".join(frame(FIN | BINARY, payload) for payload in payloads))
        scene.recorder.wait_for(lambda recorder: len(recorder.frames) == 4)
    assert [seen.payload for seen in scene.recorder.frames] == payloads


def test_reserved_bits_are_relayed_where_an_extension_uses_them_and_nothing_is_inflated(scene: Scene) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(bytes(50_000_000)) + deflate.flush()
    scene.recorder.allow_reserved_bits(0x40)
    switching = SWITCHING.data.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with opened(
        scene, "Sec-WebSocket-Extensions: permessage-deflate", switching=Answer(switching, then=SWITCHING.then)
    ) as client:
        client.send(frame(0xC0 | BINARY, bomb))
        scene.recorder.wait_for(lambda recorder: recorder.frames != [])
    assert scene.recorder.frames == [Frame(0xC0 | BINARY, bomb)]
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < 2_000_000


# -- limits

BIG = {
    "one_frame": frame(FIN | BINARY, bytes(1_001)),
    "declared": frame(FIN | BINARY, b"", length=b"\x7f" + (1 << 62).to_bytes(8)),
    "declared_4_gigabytes": frame(FIN | BINARY, b"", length=b"\x7f" + (1 << 32).to_bytes(8)),
    "fragments": frame(BINARY, bytes(500)) + frame(CONTINUATION, bytes(500)) + frame(FIN | CONTINUATION, b"x"),
    "nine_fragments": frame(BINARY, b"x") + frame(CONTINUATION, b"x") * 7 + frame(FIN | CONTINUATION, b"x"),
    "nine_empty_fragments": frame(BINARY) + frame(CONTINUATION) * 7 + frame(FIN | CONTINUATION),
    "thousand_fragments": frame(BINARY) + frame(CONTINUATION) * 1_000,
    "fragments_between_pings": (frame(BINARY) + frame(FIN | PING)) + (frame(CONTINUATION) + frame(FIN | PING)) * 9,
}


@cases(BIG)
@pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.RECORDS], ids=["whole", "records"])
def test_a_message_beyond_the_limits_is_answered_with_1009(narrow: Scene, case: bytes, cut: Cut) -> None:
    with opened(narrow) as client:
        client.send(HELLO + case, cut)
        (closing,) = frames_to_end(client)
        assert code_of(closing) == TOO_BIG
    narrow.recorder.wait_for(closed)
    assert narrow.recorder.frames[0] == Frame(FIN | TEXT, b"hello")
    assert not any(seen.opcode == CONTINUATION and seen.first & FIN for seen in narrow.recorder.frames)


def test_messages_within_the_limits_are_relayed_however_many(narrow: Scene) -> None:
    messages = frame(BINARY, bytes(500)) + frame(CONTINUATION) * 6 + frame(FIN | CONTINUATION, bytes(500))
    with opened(narrow) as client:
        client.send((messages + frame(FIN | BINARY, bytes(1_000))) * 50)
        narrow.recorder.wait_for(lambda recorder: len(recorder.frames) == 50 * 9)


def test_a_flood_of_empty_frames_is_cheap(scene: Scene) -> None:
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with opened(scene) as client:
        client.send(frame(FIN | PING) * 50_000)
        scene.recorder.wait_for(lambda recorder: len(recorder.frames) == 50_000)
    after = scene.proxy.usage()
    assert after.peak_bytes - before.peak_bytes < 2_000_000
    assert after.cpu_seconds - before.cpu_seconds < 1


# -- ends


def test_an_idle_websocket_is_closed_with_1001_on_both_sides(hurried: Scene) -> None:
    with opened(hurried) as client:
        (closing,) = frames_to_end(client)
        assert code_of(closing) == GOING_AWAY
    hurried.recorder.wait_for(closed)
    assert [code_of(seen) for seen in hurried.recorder.frames] == [GOING_AWAY]


def test_no_close_frame_is_put_into_the_middle_of_another(hurried: Scene) -> None:
    with opened(hurried) as client:
        client.send(HELLO + frame(FIN | TEXT, b"never finished")[:-3])
        hurried.recorder.say(Answer(GREETING + GREETING[:-3]))
        received = frames_to_end(client)
    assert received == [Frame(FIN | TEXT, b"greeting")]
    hurried.recorder.wait_for(closed)
    assert hurried.recorder.frames == [Frame(FIN | TEXT, b"hello")]


def test_a_client_that_goes_away_takes_its_upstream_connection_with_it(scene: Scene) -> None:
    with opened(scene) as client:
        client.send(HELLO)
        scene.recorder.wait_for(lambda recorder: recorder.frames != [])
    scene.recorder.wait_for(closed)


@pytest.mark.parametrize("says_so", [True, False], ids=["close_notify", "truncated"])
def test_a_client_that_ends_within_a_frame_ends_both(scene: Scene, says_so: bool) -> None:  # noqa: FBT001
    with opened(scene) as client:
        client.send(HELLO + HELLO[:4])
        scene.recorder.wait_for(lambda recorder: recorder.frames != [])
        client.shut_down(says_so=says_so)
        client.read_to_end()
    scene.recorder.wait_for(closed)
    assert scene.recorder.frames == [Frame(FIN | TEXT, b"hello")]
