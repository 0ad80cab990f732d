"""WebSocket frames: borders, counts, and what is refused, however the bytes are cut."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.websocket.frames import (
    CloseCode,
    Extensions,
    FrameSender,
    FrameTracker,
    WebSocketLimits,
    WebSocketViolation,
    close_frame,
)

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80
KEY = b"\x12\x34\x56\x78"
LIMITS = WebSocketLimits(message_bytes=200_000, fragments=4)


def frame(first: int, payload: bytes = b"", sender: FrameSender = FrameSender.SERVER) -> bytes:
    """Write a frame; `first` is its first octet."""
    mask = FIN if sender is FrameSender.CLIENT else 0
    if len(payload) < 126:
        header = bytes((first, mask | len(payload)))
    elif len(payload) < 65_536:
        header = bytes((first, mask | 126)) + len(payload).to_bytes(2, "big")
    else:
        header = bytes((first, mask | 127)) + len(payload).to_bytes(8, "big")
    if sender is FrameSender.SERVER:
        return header + payload
    return header + KEY + bytes(octet ^ KEY[index % 4] for index, octet in enumerate(payload))


def tracker(
    sender: FrameSender = FrameSender.SERVER, limits: WebSocketLimits = LIMITS, extensions: Extensions = Extensions.NONE
) -> FrameTracker:
    """Make a tracker."""
    return FrameTracker(sender, limits, extensions)


@dataclass
class Outcome:
    """All that can be observed once some data was fed."""

    borders: list[int]
    frames: int
    messages: int
    at_frame_border: bool
    close: tuple[bool, int | None]
    violation: tuple[CloseCode, str] | None


def follow(frames: FrameTracker, pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces; borders are offsets in all of the data."""
    offset = 0
    borders: list[int] = []
    violation = None
    for piece in pieces:
        try:
            border = frames.receive_data(piece)
        except WebSocketViolation as error:
            violation = (error.close_code, error.reason)
            if error.border is not None:
                borders.append(offset + error.border)
            break
        if border is not None:
            assert 0 < border <= len(piece)
            borders.append(offset + border)
        offset += len(piece)
    return Outcome(
        borders,
        frames.frames,
        frames.messages,
        violation is None and frames.at_frame_border,
        (frames.close_sent, frames.close_code),
        violation,
    )


def octets(data: bytes) -> list[bytes]:
    """Cut data into single octets."""
    return [data[index : index + 1] for index in range(len(data))]


def refusal(data: bytes, frames: FrameTracker | None = None) -> tuple[int, str]:
    """Return how the data is refused, which must not depend on how it is cut."""
    with pytest.raises(WebSocketViolation) as caught:
        (frames or tracker()).receive_data(data)
    assert str(caught.value) == f"{caught.value.reason} ({caught.value.close_code.value})"
    return caught.value.close_code.value, caught.value.reason


class TestBorders:
    """Where a frame can be put in."""

    def test_a_tracker_begins_at_a_border(self) -> None:
        assert tracker().at_frame_border

    def test_no_data_changes_nothing(self) -> None:
        frames = tracker()
        assert frames.receive_data(b"") is None
        assert frames.at_frame_border
        frames.receive_data(frame(FIN | TEXT, b"hello")[:3])
        assert frames.receive_data(b"") is None
        assert not frames.at_frame_border

    @pytest.mark.parametrize("sender", FrameSender)
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
    def test_a_frame_ends_where_its_length_says(self, sender: FrameSender, size: int) -> None:
        data = frame(FIN | BINARY, bytes(size), sender)
        frames = tracker(sender)
        assert frames.receive_data(data[:-1]) is None
        assert not frames.at_frame_border
        assert frames.receive_data(data[-1:] + data) == 1
        assert frames.at_frame_border
        assert (frames.frames, frames.messages) == (2, 2)

    @pytest.mark.parametrize("first", [TEXT, FIN | TEXT, FIN | PING, FIN | CLOSE])
    def test_the_first_border_in_the_data_is_reported(self, first: int) -> None:
        one, two = frame(first, b"one"), frame(FIN | CONTINUATION if first == TEXT else FIN | PONG, b"second")
        assert tracker().receive_data(one) == len(one)
        if first != FIN | CLOSE:
            assert tracker().receive_data(one + two) == len(one)
            assert tracker().receive_data(one + two[:1]) == len(one)
            assert tracker().receive_data(one + two[:4]) == len(one)

    def test_a_close_frame_can_be_put_in_between_fragments(self) -> None:
        frames = tracker()
        frames.receive_data(frame(TEXT, b"half"))
        assert frames.at_frame_border

    def test_a_long_payload_is_not_looked_at(self) -> None:
        frames = tracker(limits=WebSocketLimits(2**62, 1))
        frames.receive_data(b"\x82\x7f" + (2**61).to_bytes(8, "big"))
        for _ in range(3):
            assert frames.receive_data(b"\xff" * 65_536) is None
        assert (frames.frames, frames.at_frame_border) == (1, False)


class TestMessages:
    """RFC 6455 5.4."""

    def test_fragments_are_one_message(self) -> None:
        frames = tracker()
        for first in (TEXT, CONTINUATION, FIN | PING, FIN | CONTINUATION, FIN | TEXT):
            frames.receive_data(frame(first, b"x"))
        assert (frames.frames, frames.messages) == (5, 2)

    def test_a_continuation_of_nothing_is_refused(self) -> None:
        for first in (CONTINUATION, FIN | CONTINUATION):
            assert refusal(frame(first)) == (1002, "continuation of no message")
            assert refusal(frame(TEXT) + frame(FIN | CONTINUATION) + frame(first)) == (
                1002,
                "continuation of no message",
            )

    def test_a_message_inside_of_another_is_refused(self) -> None:
        for first in (TEXT, FIN | TEXT, BINARY, FIN | BINARY):
            assert refusal(frame(TEXT) + frame(first)) == (1002, "message inside of another")

    def test_a_message_may_be_as_big_as_the_limit_and_not_bigger(self) -> None:
        for size in (5, 125, 126, 70_000):
            frames = tracker(limits=WebSocketLimits(size, 3))
            frames.receive_data(frame(FIN | TEXT, bytes(size)) * 2)
            frames.receive_data(frame(TEXT, bytes(size - 1)) + frame(FIN | CONTINUATION, b"x"))
            assert frames.messages == 3
            assert refusal(frame(FIN | TEXT, bytes(size + 1)), frames) == (1009, "message too big")
            frames = tracker(limits=WebSocketLimits(size, 3))
            data = frame(TEXT, bytes(size)) + frame(FIN | CONTINUATION, b"x")
            assert refusal(data, frames) == (1009, "message too big")

    def test_a_message_that_is_too_big_is_refused_before_it_comes(self) -> None:
        assert refusal(b"\x82\x7f" + (200_001).to_bytes(8, "big"))[0] == 1009

    def test_a_message_may_have_so_many_fragments_and_no_more(self) -> None:
        frames = tracker()
        frames.receive_data(frame(TEXT) + frame(CONTINUATION) * 2 + frame(FIN | CONTINUATION))
        frames.receive_data(frame(TEXT) + frame(CONTINUATION) * 3 + frame(FIN | PING))
        assert refusal(frame(CONTINUATION), frames) == (1009, "message in too many fragments")

    def test_fragments_that_carry_something_may_be_as_many_as_they_like(self) -> None:
        """Autobahn 9.3.1: four million octets in fragments of 64."""
        frames = tracker(limits=WebSocketLimits(5_000_000, 4))
        frames.receive_data(frame(TEXT, bytes(64)) + frame(CONTINUATION, bytes(64)) * 62_498)
        frames.receive_data(frame(FIN | CONTINUATION, bytes(64)))
        assert frames.messages == 1

    def test_each_32_octets_of_a_message_buy_a_fragment(self) -> None:
        frames = tracker()
        frames.receive_data(frame(TEXT, bytes(64)) + frame(CONTINUATION) * 5)
        assert refusal(frame(CONTINUATION, bytes(31)), frames) == (1009, "message in too many fragments")


class TestHeader:
    """RFC 6455 5.2 and 5.5."""

    @pytest.mark.parametrize("sender", FrameSender)
    def test_a_client_masks_and_a_server_does_not(self, sender: FrameSender) -> None:
        other = FrameSender.SERVER if sender is FrameSender.CLIENT else FrameSender.CLIENT
        for first in (FIN | TEXT, TEXT, FIN | PING, FIN | CLOSE):
            for size in (0, 3):
                assert refusal(frame(first, bytes(size), other), tracker(sender)) == (1002, "wrong masking")
        assert refusal(frame(FIN | TEXT, bytes(300), other), tracker(sender)) == (1002, "wrong masking")

    @pytest.mark.parametrize("extensions", Extensions)
    def test_every_first_octet_is_judged(self, extensions: Extensions) -> None:
        for first in range(256):
            opcode = first & 0x0F
            known = opcode in {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}
            if first & 0x70 and extensions is Extensions.NONE:
                expected = "reserved bit without an extension"
            elif not known:
                expected = "unknown opcode"
            elif opcode >= CLOSE and not first & FIN:
                expected = "control frame in fragments"
            elif opcode == CONTINUATION:
                expected = "continuation of no message"
            else:
                frames = tracker(extensions=extensions)
                assert frames.receive_data(frame(first)) == 2
                assert frames.messages == (1 if first & FIN and opcode < CLOSE else 0)
                continue
            assert refusal(frame(first), tracker(extensions=extensions)) == (1002, expected)

    def test_a_control_frame_is_short(self) -> None:
        for opcode in (CLOSE, PING, PONG):
            assert tracker().receive_data(frame(FIN | opcode, bytes(125))) == 127
            assert refusal(frame(FIN | opcode, bytes(126))) == (1002, "control frame too long")
            assert refusal(bytes((FIN | opcode, 127))) == (1002, "control frame too long")

    @pytest.mark.parametrize(
        "length",
        [
            b"\x7e\x00\x7d",
            b"\x7e\x00\x00",
            b"\x7f" + (65_535).to_bytes(8, "big"),
            b"\x7f" + (1).to_bytes(8, "big"),
            b"\x7f" + (2**63).to_bytes(8, "big"),
            b"\x7f" + b"\xff" * 8,
        ],
    )
    def test_a_length_has_one_spelling(self, length: bytes) -> None:
        limits = WebSocketLimits(2**70, 4)
        for first in (TEXT, FIN | BINARY):
            assert refusal(bytes((first,)) + length, tracker(limits=limits)) == (1002, "invalid length of a frame")

    def test_the_longest_length_is_a_length(self) -> None:
        data = b"\x82\x7f" + (2**63 - 1).to_bytes(8, "big")
        assert tracker(limits=WebSocketLimits(2**63, 1)).receive_data(data) is None


class TestClose:
    """RFC 6455 5.5.1."""

    @pytest.mark.parametrize("sender", FrameSender)
    @pytest.mark.parametrize(
        ("payload", "code"),
        [(b"", None), (b"\x03\xe8", 1000), (b"\x0f\xa1bye", 4001), (b"\x03\xf5" + bytes(123), 1013)],
    )
    def test_its_code_is_read(self, sender: FrameSender, payload: bytes, code: int | None) -> None:
        data = frame(FIN | CLOSE, payload, sender)
        for pieces in ([data], octets(data)):
            frames = tracker(sender)
            outcome = follow(frames, pieces)
            assert (outcome.close, outcome.at_frame_border) == ((True, code), True)
            assert (outcome.frames, outcome.messages, outcome.borders) == (1, 0, [len(data)])

    def test_half_a_code_is_refused(self) -> None:
        assert refusal(frame(FIN | CLOSE, b"\x03")) == (1002, "close frame with half a code")

    def test_it_has_not_passed_before_its_last_octet(self) -> None:
        frames = tracker()
        frames.receive_data(frame(FIN | CLOSE, b"\x03\xe8bye")[:-1])
        assert (frames.close_sent, frames.at_frame_border) == (False, False)

    @pytest.mark.parametrize(
        "more",
        [
            b"\x00",
            b"\x83",
            frame(FIN | TEXT, b"x"),
            frame(FIN | CLOSE),
            frame(FIN | PONG),
            frame(FIN | TEXT, b"x" * 300),
        ],
    )
    def test_what_follows_it_is_discarded(self, more: bytes) -> None:
        """RFC 6455 1.4: its receiver discards any further data, whatever it is."""
        close = frame(FIN | CLOSE, b"\x03\xe8")
        for cut in range(len(close + more) + 1):
            frames = tracker()
            kept = b""
            for piece in ((close + more)[:cut], (close + more)[cut:]):
                frames.receive_data(piece)
                kept += piece[: len(piece) - frames.excess]
            assert kept == close
            assert (frames.close_sent, frames.close_code, frames.frames) == (True, 1000, 1)
            assert frames.at_frame_border

    def test_no_data_may_follow_it(self) -> None:
        frames = tracker()
        frames.receive_data(frame(FIN | CLOSE))
        assert frames.receive_data(b"") is None
        assert frames.excess == 0


class TestViolation:
    """How much of the data is still good."""

    bad = b"\x83\x00"

    def test_the_frames_before_it_are_good(self) -> None:
        good = frame(FIN | TEXT, b"hello")
        for data, border in ((self.bad, 0), (good + self.bad, len(good)), (good * 2 + self.bad, 2 * len(good))):
            with pytest.raises(WebSocketViolation) as caught:
                tracker().receive_data(data)
            assert caught.value.border == border

    def test_the_rest_of_a_frame_before_it_is_good(self) -> None:
        frames = tracker()
        frames.receive_data(frame(FIN | TEXT, b"hello")[:4])
        with pytest.raises(WebSocketViolation) as caught:
            frames.receive_data(b"llo" + self.bad)
        assert caught.value.border == 3

    def test_nothing_is_good_of_a_frame_that_began_before(self) -> None:
        frames = tracker()
        frames.receive_data(self.bad[:1])
        with pytest.raises(WebSocketViolation) as caught:
            frames.receive_data(self.bad[1:])
        assert caught.value.border is None


class TestCloseFrame:
    """Frames of our own."""

    def test_a_close_frame_for_a_client(self) -> None:
        assert close_frame(CloseCode.SERVICE_RESTART, "restart", None) == b"\x88\x09\x03\xf4restart"

    def test_a_close_frame_for_a_server_is_masked(self) -> None:
        expected = frame(FIN | CLOSE, b"\x03\xea" + b"wrong masking", FrameSender.CLIENT)
        assert close_frame(CloseCode.PROTOCOL_ERROR, "wrong masking", KEY) == expected

    def test_a_long_reason_is_cut_between_characters(self) -> None:
        assert close_frame(CloseCode.GOING_AWAY, "x" * 200, None) == b"\x88\x7d\x03\xe9" + b"x" * 123
        assert close_frame(CloseCode.GOING_AWAY, "xx" + "€" * 100, None) == b"\x88\x7c\x03\xe9xx" + "€".encode() * 40

    @given(st.sampled_from(CloseCode), st.text(), st.one_of(st.none(), st.binary(min_size=4, max_size=4)))
    def test_a_tracker_reads_what_was_written(self, code: CloseCode, reason: str, key: bytes | None) -> None:
        frames = tracker(FrameSender.SERVER if key is None else FrameSender.CLIENT)
        data = close_frame(code, reason, key)
        assert frames.receive_data(data) == len(data)
        assert (frames.close_sent, frames.close_code) == (True, code)


PAYLOADS = st.sampled_from([0, 0, 1, 2, 5, 125, 126, 300, 65_536]).map(bytes)
FRAMES = st.lists(
    st.tuples(st.sampled_from([FIN | TEXT, TEXT, CONTINUATION, FIN | CONTINUATION, FIN | PING, FIN | CLOSE]), PAYLOADS),
    max_size=8,
)


def cut(data: bytes, cuts: list[float]) -> list[bytes]:
    """Cut data at the given fractions of it."""
    places = sorted({0, len(data), *(int(fraction * len(data)) for fraction in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(st.sampled_from(FrameSender), FRAMES, st.lists(st.floats(0, 1), max_size=6))
def test_how_the_data_is_cut_does_not_matter(
    sender: FrameSender, parts: list[tuple[int, bytes]], cuts: list[float]
) -> None:
    frames = [frame(first, payload, sender) for first, payload in parts]
    ends = [0, *accumulate(map(len, frames))]
    data = b"".join(frames)
    whole = follow(tracker(sender), [data])
    pieces = follow(tracker(sender), cut(data, cuts))
    for outcome in (whole, pieces):
        assert set(outcome.borders) <= set(ends)
    assert (pieces.frames, pieces.messages, pieces.close) == (whole.frames, whole.messages, whole.close)
    assert (pieces.violation, pieces.at_frame_border) == (whole.violation, whole.at_frame_border)


@given(
    st.sampled_from(FrameSender),
    st.sampled_from(Extensions),
    st.lists(
        st.sampled_from([b"\x81", b"\x01", b"\x80", b"\x00", b"\x88", b"\x89", b"\xc1", b"\x03", b"\x7e", b"\x7f"])
    ),
    st.binary(max_size=20),
)
def test_whole_and_octet_by_octet_are_judged_alike(
    sender: FrameSender, extensions: Extensions, parts: list[bytes], end: bytes
) -> None:
    data = b"".join(parts) + end
    limits = WebSocketLimits(message_bytes=2**40, fragments=3)
    whole = follow(FrameTracker(sender, limits, extensions), [data])
    apart = follow(FrameTracker(sender, limits, extensions), octets(data))
    assert (apart.frames, apart.messages, apart.close) == (whole.frames, whole.messages, whole.close)
    assert (apart.violation, apart.at_frame_border) == (whole.violation, whole.at_frame_border)
    if whole.borders and whole.violation is None:
        assert apart.borders[0] == whole.borders[0]


@given(FRAMES.map(lambda parts: [part for part in parts if part[0] != FIN | CLOSE]))
def test_octet_by_octet_every_border_is_found(parts: list[tuple[int, bytes]]) -> None:
    frames = [frame(FIN | BINARY, payload[:300]) for _, payload in parts]
    outcome = follow(tracker(), octets(b"".join(frames)))
    assert outcome.borders == list(accumulate(map(len, frames)))
    assert (outcome.frames, outcome.messages) == (len(frames), len(frames))
