"""Streams: whole and byte by byte, and every way to tamper with the order of tokens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.payload.keys.keyring import Keyring
from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.stream import (
    LARGEST_PIECE,
    FrameOpener,
    StreamOpener,
    StreamSealer,
    Vow,
    bound_length,
    framed,
)
from tests.payloads import MESSAGE_ID, NOW, PLACE, VOW, WINDOW, codec, ring

DIGEST = VOW.digest


def sealed(
    plain: bytes, pieces: int = 1, vow: Vow = VOW, of: Keyring | None = None, version: int | None = None
) -> list[bytes]:
    """The tokens of a message that came in pieces, each with its line feed."""
    sealer = StreamSealer(codec(of), vow, version)
    out = b""
    size = -(-len(plain) // pieces) or 1
    for start in range(0, len(plain), size):
        sealer.receive_data(plain[start : start + size])
        out += sealer.data_to_send(NOW) if start + size < len(plain) else b""
    return (out + sealer.finish(NOW)).splitlines(keepends=True)


def opened(tokens: list[bytes], digest: bytes = DIGEST, of: Keyring | None = None) -> bytes:
    opener = StreamOpener(codec(of), digest, WINDOW)
    plain = b"".join(opener.receive_data(b"".join(tokens), NOW))
    opener.finish()
    return plain


def refusal(tokens: list[bytes], digest: bytes = DIGEST, of: Keyring | None = None) -> Cause:
    with pytest.raises(PayloadFault) as caught:
        opened(tokens, digest, of)
    return caught.value.cause


@pytest.mark.parametrize("size", [0, 1, LARGEST_PIECE, LARGEST_PIECE + 1, 3 * LARGEST_PIECE + 5])
def test_message_comes_back_whole(size: int) -> None:
    plain = bytes(index % 251 for index in range(size))
    tokens = sealed(plain)
    assert len(tokens) == max(1, -(-size // LARGEST_PIECE))
    assert opened(tokens) == plain


def test_message_comes_back_byte_by_byte() -> None:
    opener = StreamOpener(codec(), DIGEST, WINDOW)
    pieces = [
        piece
        for octet in b"".join(sealed(b"hello, world", pieces=3))
        for piece in opener.receive_data(bytes([octet]), NOW)
    ]
    opener.finish()
    assert pieces == [b"hell", b"o, w", b"orld"]
    assert (opener.message_id, opener.version, opener.timestamp) == (MESSAGE_ID, 1, int(NOW))


def test_nothing_of_a_cut_message_is_taken_for_its_end() -> None:
    tokens = sealed(b"hello, world", pieces=3)
    for count in range(3):
        opener = StreamOpener(codec(), DIGEST, WINDOW)
        opener.receive_data(b"".join(tokens[:count]), NOW)
        assert not opener.is_finished
        with pytest.raises(PayloadFault) as caught:
            opener.finish()
        assert caught.value.cause is Cause.BAD_STREAM
    assert refusal([*tokens[:2], tokens[2][:-1]]) is Cause.BAD_STREAM  # its line feed belongs to it


@settings(max_examples=60)
@given(st.data())
def test_no_other_order_of_tokens_is_accepted(data: st.DataObject) -> None:
    tokens = sealed(bytes(range(6)), pieces=6)
    strangers = sealed(bytes(range(6)), pieces=6, vow=Vow(b"\xff" * 16, DIGEST))
    mixed = data.draw(st.lists(st.sampled_from([*tokens, *strangers]), min_size=1, max_size=8))
    if mixed not in (tokens, strangers):
        assert refusal(mixed) is Cause.BAD_STREAM


@pytest.mark.parametrize("place", [0, 1, 2])
def test_token_of_another_message_does_not_fit_though_its_number_does(place: int) -> None:
    tokens = sealed(b"hello, world", pieces=3)
    tokens[place] = sealed(b"HELLO, WORLD", pieces=3, vow=Vow(b"\xff" * 16, DIGEST))[place]
    assert refusal(tokens) is Cause.BAD_STREAM


@settings(max_examples=60)
@given(st.data())
def test_no_octet_of_a_stream_can_be_changed(data: st.DataObject) -> None:
    stream = bytearray(b"".join(sealed(b"hello, world", pieces=3)))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] = data.draw(st.integers(0, 255).filter(lambda octet: octet != stream[place]))
    with pytest.raises(PayloadFault):
        opened([bytes(stream)])


def test_stream_stays_where_it_belongs() -> None:
    tokens = sealed(b"hello")
    assert refusal(tokens, PLACE.digest(Direction.RESPONSE, MESSAGE_ID)) is Cause.MISPLACED
    assert refusal(tokens, PLACE._replace(target=b"/other").digest(Direction.REQUEST)) is Cause.MISPLACED


def test_one_key_for_a_message() -> None:
    many = ring(1)
    first, second = sealed(b"hello, world", 2, of=many, version=1), sealed(b"hello, world", 2, of=many, version=2)
    assert opened(first, of=many) == b"hello, world"
    assert refusal([first[0], second[1]], of=many) is Cause.BAD_STREAM


def test_only_its_first_token_is_held_to_its_time() -> None:
    tokens = sealed(b"hello, world", pieces=2)
    opener = StreamOpener(codec(), DIGEST, WINDOW)
    opener.receive_data(tokens[0], NOW)
    assert opener.receive_data(tokens[1], NOW + 7_200) == [b" world"]
    opener.finish()
    late = StreamOpener(codec(), DIGEST, WINDOW)
    with pytest.raises(PayloadFault) as caught:
        late.receive_data(tokens[0], NOW + 62)
    assert caught.value.cause is Cause.EXPIRED


def test_token_without_end_and_one_that_is_too_long_are_refused_early() -> None:
    opener = StreamOpener(codec(), DIGEST, WINDOW)
    with pytest.raises(PayloadFault):
        opener.receive_data(b"A" * 100_000, NOW)
    long = codec().seal(framed(VOW, 0, bytes(70_000), is_last=True), NOW)
    assert refusal([long + b"\n"]) is Cause.BAD_TOKEN


@pytest.mark.parametrize("content", [b"", bytes(57), b"\x02" + bytes(57), b"\x01\x02" + bytes(56)])
def test_content_that_has_no_head_is_refused(content: bytes) -> None:
    with pytest.raises(PayloadFault) as caught:
        FrameOpener(bytes(32)).open(content)
    assert caught.value.cause is Cause.BAD_STREAM


def test_length_of_a_bound_token_is_known_in_advance() -> None:
    for size in (0, 1, 5, 6, 1_000):
        assert len(codec().seal(framed(VOW, 0, bytes(size), is_last=True), NOW)) == bound_length(size)


def test_what_waits_is_told() -> None:
    sealer = StreamSealer(codec(), VOW, None)
    sealer.receive_data(b"hello")
    assert sealer.pending == 5
    sealer.data_to_send(NOW)
    assert sealer.pending == 0
