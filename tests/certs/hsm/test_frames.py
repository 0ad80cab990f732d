"""Values with bytes in them cross a pipe."""

import pytest

from certs.hsm.frames import HEADER, LARGEST_FRAME, Garbled, length_of, pack, unpack


def test_a_value_with_bytes_comes_back() -> None:
    value = {"a": b"\x00\xff", "b": ["x", 1, None, True, {"c": b""}]}
    frame = pack(value)
    assert length_of(frame[: HEADER.size]) == len(frame) - HEADER.size
    assert unpack(frame[HEADER.size :]) == value


def test_what_is_no_json_is_not_sent() -> None:
    with pytest.raises(TypeError):
        pack({"a": object()})


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(ValueError, match="allowed: 16777216"):
        pack({"a": bytes(LARGEST_FRAME)})


def test_a_length_of_no_frame_is_garbled() -> None:
    with pytest.raises(Garbled) as caught:
        length_of(b"\xff\xff\xff\xff")
    assert "is not a frame" in str(caught.value)


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"a": {"$bytes": 5}}', b'{"a": {"$bytes": "%"}}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_frame_is_garbled(payload: bytes) -> None:
    with pytest.raises(Garbled):
        unpack(payload)
