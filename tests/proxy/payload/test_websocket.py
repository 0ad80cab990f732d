"""Messages of a WebSocket as tokens: whole, byte by byte, in fragments, with control frames between."""

import pytest

from proxy.http.websocket.frames import (
    CloseCode,
    Extensions,
    FrameSender,
    FrameTracker,
    WebSocketLimits,
    close_frame,
    masked,
)
from proxy.payload.answer import AnswerKey
from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import LARGEST_PLAIN, RingCodec
from proxy.payload.messages.stream import FrameOpener, Vow, framed
from proxy.payload.messages.uses import MessageCounts
from proxy.payload.websocket import MessageFilter, SealedMessages
from tests.payloads import MESSAGE_ID, NOW, PLACE, WINDOW, channel, codec, ring

KEY = b"\x01\x02\x03\x04"
LIMITS = WebSocketLimits(10_000_000, 1_000)


def frame(payload: bytes, first: int = 0x81, key: bytes = b"") -> bytes:
    mask = 0x80 if key else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 65_536:
        head = bytes((first, mask | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, mask | 127)) + size.to_bytes(8, "big")
    return head + key + (masked(payload, key) if key else payload)


def unframed(data: bytes, sender: FrameSender) -> list[tuple[int, bytes]]:
    """First octet and content of each frame, which the tracker has to like."""
    FrameTracker(sender, LIMITS, Extensions.NONE).receive_data(data)
    found: list[tuple[int, bytes]] = []

    def note(opcode: int, content: bytes) -> bytes:
        found.append((opcode, content))
        return b""

    MessageFilter(sender, note).receive_data(data)
    return found


def answer_key(channel: MessageCipher, version: int | None = None) -> AnswerKey:
    vow = Vow(b"a" * 16, PLACE.digest(Direction.RESPONSE, MESSAGE_ID))
    return AnswerKey(channel, vow, version, takes_stream=False)


def messages(
    *, is_bound: bool = False, marks: list[bytes] | None = None, counts: MessageCounts | None = None
) -> SealedMessages:
    """`marks` takes what would be looked for among earlier messages."""
    noted = [] if marks is None else marks
    key, digest = answer_key(channel(ring(1), is_bound=is_bound)), PLACE.digest(Direction.REQUEST)
    return SealedMessages(key, digest, lambda: NOW, noted.append, counts or MessageCounts())


@pytest.mark.parametrize("size", [0, 5, 125, 126, 20_000, 70_000])
@pytest.mark.parametrize("first", [0x81, 0x82])
def test_client_sends_tokens_and_the_backend_gets_messages(first: int, size: int) -> None:
    plain = b"x" * size
    out = messages().filter(FrameSender.CLIENT).receive_data(frame(codec().seal(plain, NOW), first, KEY))
    assert unframed(out, FrameSender.CLIENT) == [(first & 0x0F, plain)]


def test_backend_sends_messages_and_the_client_gets_tokens_under_its_key() -> None:
    both = messages()
    (one,) = unframed(both.filter(FrameSender.SERVER).receive_data(frame(b"hello")), FrameSender.SERVER)
    assert codec(ring(1)).open(one[1], WINDOW, NOW) == (2, int(NOW), b"hello")
    both.filter(FrameSender.CLIENT).receive_data(frame(codec().seal(b"by key 1", NOW), key=KEY))
    (one,) = unframed(both.filter(FrameSender.SERVER).receive_data(frame(b"hello")), FrameSender.SERVER)
    assert codec(ring(1)).open(one[1], WINDOW, NOW).version == 1


def test_it_does_not_matter_how_octets_come() -> None:
    ping, close = frame(b"ping", 0x89, KEY), close_frame(CloseCode.GOING_AWAY, "bye", KEY)
    token = codec().seal(b"hello" * 30, NOW)
    stream = frame(token[:10], 0x01, KEY) + ping + frame(token[10:], 0x80, KEY) + frame(token, 0x82, KEY) + close
    whole = messages().filter(FrameSender.CLIENT).receive_data(stream)
    filtering = messages().filter(FrameSender.CLIENT)
    pieces = b"".join(filtering.receive_data(bytes([octet])) for octet in stream)
    for out in (whole, pieces):
        assert ping in out
        assert out.endswith(close)
        assert unframed(out, FrameSender.CLIENT) == [(1, b"hello" * 30), (2, b"hello" * 30)]


def refusal(data: bytes, *, is_bound: bool = False) -> Cause:
    with pytest.raises(PayloadFault) as caught:
        messages(is_bound=is_bound).filter(FrameSender.CLIENT).receive_data(data)
    return caught.value.cause


def test_what_is_no_token_ends_it() -> None:
    assert refusal(frame(b"plain", key=KEY)) is Cause.BAD_TOKEN
    assert refusal(frame(codec().seal(b"\xff", NOW), key=KEY)) is Cause.BAD_TOKEN  # no text
    assert refusal(frame(bytes(2 * LARGEST_PLAIN + 1), 0x82, KEY)) is Cause.TOO_LARGE
    assert refusal(frame(codec().seal(b"unbound", NOW), key=KEY), is_bound=True) is Cause.BAD_STREAM


@pytest.mark.parametrize("sender", list(FrameSender))
def test_frame_that_is_too_large_is_refused_by_its_head(sender: FrameSender) -> None:
    key = KEY if sender is FrameSender.CLIENT else b""
    head = frame(bytes(2 * LARGEST_PLAIN + 1), 0x82, key)[: 10 + len(key)]
    with pytest.raises(PayloadFault) as caught:
        messages().filter(sender).receive_data(head)
    assert caught.value.cause is Cause.TOO_LARGE


def test_replays_are_looked_for_by_the_first_bound_message_or_by_each_that_is_not() -> None:
    vow = Vow(b"i" * 16, PLACE.digest(Direction.REQUEST))
    bound = [codec().seal(framed(vow, number, b"", is_last=False), NOW) for number in range(2)]
    marks: list[bytes] = []
    messages(is_bound=True, marks=marks).filter(FrameSender.CLIENT).receive_data(
        b"".join(frame(one, key=KEY) for one in bound)
    )
    assert marks == [b"i" * 16]
    marks.clear()
    messages(marks=marks).filter(FrameSender.CLIENT).receive_data(b"".join(frame(one, 0x82, KEY) for one in bound))
    assert marks == [one[-40:] for one in bound]


def test_bound_messages_keep_their_order() -> None:
    vow = Vow(bytes(16), PLACE.digest(Direction.REQUEST))
    frames = [
        frame(codec().seal(framed(vow, number, b"%d" % number, is_last=False), NOW), key=KEY) for number in range(3)
    ]
    out = messages(is_bound=True).filter(FrameSender.CLIENT).receive_data(b"".join(frames))
    assert [content for _, content in unframed(out, FrameSender.CLIENT)] == [b"0", b"1", b"2"]
    assert refusal(frames[1], is_bound=True) is Cause.BAD_STREAM
    assert refusal(frames[0] * 2, is_bound=True) is Cause.BAD_STREAM
    assert refusal(frames[0] + frames[2], is_bound=True) is Cause.BAD_STREAM


def test_revoked_key_answers_nobody() -> None:
    revoked: set[tuple[str, int]] = set()
    both = RingCodec(ring(1), lambda _ring, _version: None, revoked)
    channel = MessageCipher(b"chat", both, both, False, MessageEnvelope.NONE, WINDOW)  # noqa: FBT003 - by place
    noted: list[bytes] = []
    counts = MessageCounts()
    key = answer_key(channel, 1)
    sending = SealedMessages(key, b"", lambda: NOW, noted.append, counts).filter(FrameSender.SERVER)
    assert sending.receive_data(frame(b"hello"))
    revoked.add(("chat", 1))
    with pytest.raises(PayloadFault) as caught:
        sending.receive_data(frame(b"hello"))
    assert caught.value.cause is Cause.REVOKED_KEY
    assert counts.sealed == 1


def test_messages_are_counted_that_are_good() -> None:
    counts = MessageCounts()
    both = messages(counts=counts)
    good = frame(codec().seal(b"hello", NOW), key=KEY)
    opening = both.filter(FrameSender.CLIENT)
    opening.receive_data(good * 3 + frame(b"ping", 0x89, KEY))
    both.filter(FrameSender.SERVER).receive_data(frame(b"a") + frame(b"b"))
    with pytest.raises(PayloadFault):
        opening.receive_data(good + frame(codec().seal(b"\xff", NOW), key=KEY))
    assert (counts.opened, counts.sealed) == (4, 2)


def test_answers_count_and_are_bound_to_the_nonce_of_the_client() -> None:
    sending = messages(is_bound=True).filter(FrameSender.SERVER)
    tokens = [content for _, content in unframed(sending.receive_data(frame(b"a") + frame(b"b")), FrameSender.SERVER)]
    opener = FrameOpener(PLACE.digest(Direction.RESPONSE, MESSAGE_ID))
    assert [opener.open(codec(ring(1)).open(token, WINDOW, NOW).plain) for token in tokens] == [b"a", b"b"]


def test_mask_is_undone_by_itself() -> None:
    assert masked(b"hello, world", KEY) == bytes(octet ^ KEY[index % 4] for index, octet in enumerate(b"hello, world"))
    assert masked(masked(b"hello", KEY), KEY) == b"hello"
    assert masked(b"", KEY) == b""


def test_message_that_becomes_too_large_by_its_fragments_is_refused() -> None:
    half = bytes(LARGEST_PLAIN + 1)
    one = messages().filter(FrameSender.SERVER)
    assert one.receive_data(frame(half, 0x02)) == b""
    with pytest.raises(PayloadFault) as caught:
        one.receive_data(frame(half, 0x80))
    assert caught.value.cause is Cause.TOO_LARGE
