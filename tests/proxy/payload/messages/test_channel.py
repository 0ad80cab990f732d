"""Single tokens of a channel: bound or not, in an envelope or not."""

import struct
from dataclasses import replace

import pytest

from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import Message, MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import LARGEST_PLAIN
from proxy.payload.messages.stream import StreamSealer
from tests.payloads import MESSAGE_ID, NOW, PLACE, VOW, channel, codec

REQUEST = Direction.REQUEST


def refusal(of: MessageCipher, token: bytes, digest: bytes = VOW.digest) -> Cause:
    with pytest.raises(PayloadFault) as caught:
        of.open(REQUEST, token, digest, NOW, None)
    return caught.value.cause


@pytest.mark.parametrize("is_bound", [False, True])
@pytest.mark.parametrize("envelope", MessageEnvelope)
def test_message_comes_back(envelope: MessageEnvelope, is_bound: bool) -> None:  # noqa: FBT001 - parametrized
    one = channel(is_bound=is_bound, envelope=envelope)
    token = one.seal(REQUEST, b"hello", VOW, NOW, None)
    assert one.open(REQUEST, token, VOW.digest, NOW, 1) == Message(b"hello", MESSAGE_ID if is_bound else b"", 1)


def test_bound_token_is_refused_elsewhere_and_in_the_other_direction() -> None:
    one = channel(is_bound=True)
    token = one.seal(REQUEST, b"hello", VOW, NOW, None)
    assert refusal(one, token, PLACE.digest(Direction.RESPONSE)) is Cause.MISPLACED
    assert refusal(one, codec().seal(b"hello", NOW)) is Cause.BAD_STREAM


def test_part_of_a_stream_is_no_message() -> None:
    one = channel(is_bound=True)
    sealer = StreamSealer(one.requests, VOW, None)
    sealer.receive_data(b"hello")
    assert refusal(one, sealer.data_to_send(NOW).strip()) is Cause.BAD_STREAM


def test_envelope_of_plexichat_has_the_time_in_it() -> None:
    one = channel(envelope=MessageEnvelope.PLEXICHAT)
    token = one.seal(REQUEST, b"hello", VOW, NOW, None)
    assert channel().open(REQUEST, token, b"", NOW, None).plain == struct.pack(">Q", int(NOW)) + b"hello"
    for content, cause in (
        (b"short", Cause.BAD_TOKEN),
        (struct.pack(">Q", int(NOW) - 62) + b"hello", Cause.EXPIRED),
        (struct.pack(">Q", int(NOW) + 31) + b"hello", Cause.FROM_THE_FUTURE),
    ):
        assert refusal(one, codec().seal(content, NOW)) is cause


def test_message_for_a_single_token_is_bounded() -> None:
    one = channel()
    assert len(one.open(REQUEST, codec().seal(bytes(LARGEST_PLAIN), NOW), b"", NOW, None).plain) == LARGEST_PLAIN
    assert refusal(one, codec().seal(bytes(LARGEST_PLAIN + 1), NOW)) is Cause.TOO_LARGE


def test_counts_have_the_name_of_a_ring_and_one_for_all_sessions() -> None:
    one = channel()
    assert one.label == one.key.decode()
    assert replace(one, is_session=True).label == ":sessions"
